"""Runs steps by a cluster's workers. What comes home is verified, and recorded as if run here."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipelines.building.cluster import dask, identity
from pipelines.building.cluster.crew import Crew, Lost
from pipelines.building.cluster.dask import ClusterError
from pipelines.building.cluster.objects import parts
from pipelines.building.cluster.order import AT_HOME, Files, Order, Reply, read_reply
from pipelines.building.cluster.tries import Tries
from pipelines.building.schedule import UNKNOWN, Turns
from pipelines.dvc.store import Store
from pipelines.files import console
from pipelines.files.confined import Refused
from pipelines.record.digest import Contents, members
from pipelines.record.step import Step
from pipelines.run import work_folders
from pipelines.run.toolchain.toolchain import Environments, ToolchainError
from pipelines.run.worker import Failed, Result, Stopped, Worker

_LOCAL = "local:"
_ENDING_S = 10.0


class ClusterWorker(Worker):
    """As Worker. address: a scheduler's, or `local:N`. It is asked when the first step runs."""

    is_elsewhere = True

    def __init__(self, root: Path, address: str, contents: Contents, store: Store) -> None:
        super().__init__(root)
        self._address = address
        self._contents = contents
        self._store = store
        self._manifests: dict[str, str] = {}
        self._looked_at = set[str]()  # toolchains
        self._crew: Crew | None = None
        self._local: Local | None = None
        self._connecting = threading.Lock()
        self.turns: Turns | None = None

    def connect(self, toolchains: Iterable[str]) -> int:
        """Returns how many steps can run at once. Raises ClusterError, ToolchainError.

        toolchains: those that will be needed.
        """
        manifests = self._known(dict.fromkeys(sorted(toolchains), ""))
        return self._connected(manifests).await_first()

    def run(self, step: Step, log: Path, **options: Any) -> Result:
        if step.stage in AT_HOME:
            return super().run(step, log, **options)
        crew = self._connected()
        sources, order = self._order(step, log)
        wants = {md5: size for _, files in order.inputs.values() for md5, size in files.values()}
        turns = self.turns
        peak = turns.peaks.get(step.name, UNKNOWN.peak_bytes) if turns else UNKNOWN.peak_bytes
        priority = turns.tails.get(step.name, 0.0) if turns else 0.0
        tries = Tries()
        while (why := tries.over) is None:
            try:
                address = crew.seat(step.name, peak, wants, priority)
            except ClusterError as error:
                raise self._stopped_or(Failed(str(error))) from error
            try:
                result = self._run_at(crew, address, step, order, sources, log, tries)
                if result is not None:
                    return result
            except Lost:
                if self._is_stopped:
                    raise Stopped from None
                tries.note_lost(crew.name(address))
                crew.lost(address)
            except Refused as error:
                crew.refuse(address, str(error))
            finally:
                crew.leave(address, step.name)
        raise Failed(why)

    def close(self) -> None:
        super().close()
        with self._connecting:
            if self._crew is not None:
                self._crew.close()
            if self._local is not None:
                self._local.close()

    def _connected(self, manifests: Mapping[str, str] | None = None) -> Crew:
        with self._connecting:
            if self._is_stopped:
                raise Stopped
            if self._crew is None:
                address = self._address
                if address.startswith(_LOCAL):
                    self._local = Local(self._root, int(address.removeprefix(_LOCAL)))
                    address = self._local.address
                self._crew = Crew(self._root, address, manifests or {})
            return self._crew

    def _stopped_or(self, error: Failed) -> Exception:
        return Stopped() if self._is_stopped else error

    def _run_at(
        self,
        crew: Crew,
        address: str,
        step: Step,
        order: Order,
        sources: Mapping[str, Path],
        log: Path,
        tries: Tries,
    ) -> Result | None:
        """None where the worker does not keep what it is sent. Raises Failed, Lost, Refused."""
        tries.is_running = False
        while tries.over is None:
            self._send(crew, address, sources, is_there=not tries.has_lost_any)
            with tries.running():
                reply = self._answer(crew, address, order)
            if not reply.lacks:
                return self._result(crew, address, step, reply, log)
            tries.lacks += crew.has_not(address, reply.lacks)
        return None

    def _answer(self, crew: Crew, address: str, order: Order) -> Reply:
        """What the worker says, once the step has ended. Raises Lost, Refused."""
        text = Order(**{**vars(order), "manifests": self._known(order.manifests)}).text
        reply = read_reply(crew.ask(address, "npumake_run", order=text) or "")
        if reply.refused is not None:
            raise Refused(reply.refused)
        if reply.is_stopped:
            raise Lost("it was stopped there")
        return reply

    def _result(self, crew: Crew, address: str, step: Step, reply: Reply, log: Path) -> Result:
        """Raises Failed, Lost, Refused."""
        self._agree(reply.manifests or {})
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"=== by worker {crew.name(address)}\n{reply.log}", encoding="utf-8")
        if reply.failed is not None:
            raise Failed(f"{reply.failed}\n  by worker {crew.name(address)}", reply.cure)
        return self._brought(crew, address, step, reply)

    def _send(
        self, crew: Crew, address: str, sources: Mapping[str, Path], *, is_there: bool
    ) -> None:
        """What the worker has to be given. Raises Lost, Failed.

        is_there: where that is nothing, it need not be asked whether it is there.
        """
        lacking = crew.lacking(address, {md5: sources[md5].stat().st_size for md5 in sources})
        sender = uuid.uuid4().hex
        batches = [*parts(lacking)]
        for batch in batches or ([] if is_there else [[]]):
            message = []
            for md5, offset, length in batch:
                with sources[md5].open("rb") as file:
                    file.seek(offset)
                    message.append([md5, offset, lacking[md5], file.read(length)])
            told = crew.ask(address, "npumake_put", sender=sender, parts=message)
            if told != "":
                raise Failed(
                    f"worker {crew.name(address)} did not keep an input: {told}\n"
                    "  if it was changed meanwhile, run the same command again"
                )
        crew.has(address, lacking)

    def _brought(self, crew: Crew, address: str, step: Step, reply: Reply) -> Result:
        """The outputs, verified, in a working folder as a local run leaves them."""
        outputs = reply.outputs or {}
        if outputs.keys() != step.outputs.keys():
            raise Refused(f"it gave other outputs for {step.name} than were asked for")
        folder = work_folders.make(self._root, step)
        try:
            for name, files in outputs.items():
                self._write(crew, address, folder / "out" / name, files)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise Failed(f"the result could not be kept: {error}") from error
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        crew.has(address, {md5 for files in outputs.values() for md5, _ in files.values()})
        return Result(folder, folder / "out", reply.seconds, reply.peak_bytes)

    def _write(self, crew: Crew, address: str, place: Path, files: Files) -> None:
        """An output's files, each of which is what its MD5 says. Raises Refused, Lost, OSError."""
        if "" not in files:
            place.mkdir(parents=True)
        places: dict[str, list[Path]] = {}
        for below, (md5, _) in files.items():
            places.setdefault(md5, []).append(place / below if below else place)
        digests: dict[str, Any] = {}
        for batch in parts(dict(files.values())):
            data = crew.ask(address, "npumake_get", parts=batch)
            if not (isinstance(data, list | tuple) and len(data) == len(batch)):
                raise Lost("it lost what it made")
            for (md5, _, length), each in zip(batch, data, strict=True):
                first = places[md5][0]
                first.parent.mkdir(parents=True, exist_ok=True)
                with first.open("ab") as file:
                    file.write(each)
                digest = digests.setdefault(md5, hashlib.md5(usedforsecurity=False))
                digest.update(each)
                if len(each) != length:
                    raise Refused(f"it gave a part of {place.name} that is too short")
        for md5, copies in places.items():
            if digests[md5].hexdigest() != md5:
                raise Refused(f"what it gave as {place.name} is not what it said that it is")
            for other in copies[1:]:
                other.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(copies[0], other)

    def _order(self, step: Step, log: Path) -> tuple[dict[str, Path], Order]:
        """What the worker is told, and where each object that it may lack is here."""
        sources: dict[str, Path] = {}
        inputs: dict[str, tuple[str, Files]] = {}
        for number, (name, path) in enumerate(step.inputs.items()):
            place = self._root / path
            below = [""] if place.is_file() else sorted(members(str(self._root), path))
            files: dict[str, tuple[str, int]] = {}
            for each in below:
                content = self._contents.of(f"{path}/{each}" if each else path)
                if content is None:
                    raise Failed(f"no file {path}/{each}\n  put it there, or correct the recipe")
                files[each] = (content.md5, content.size)
                sources[content.md5] = place / each if each else place
            inputs[name] = (f"{number}/{place.name}", files)
        toolchains = {work.toolchain for work in step.work()}
        return sources, Order(
            model=step.model,
            stage=step.stage,
            target=step.target,
            folder=step.folder,
            inputs=inputs,
            outputs=tuple(step.outputs),
            work=step.work(),
            limit_s=step.limit_s,
            log=log.relative_to(self._root).as_posix(),
            manifests=dict.fromkeys(sorted(toolchains), ""),
        )

    def _known(self, names: Mapping[str, str]) -> dict[str, str]:
        """Toolchain -> digest: this machine's, or else the first worker's; "" before any is."""
        with self._connecting:
            if new := names.keys() - self._looked_at:
                try:
                    found = identity.made(Environments(self._root), new)
                except ToolchainError as error:
                    raise Failed(str(error)) from error
                self._looked_at |= new
                self._manifests |= {name: digest for name, digest in found.items() if digest}
            return {name: self._manifests.get(name, "") for name in names}

    def _agree(self, manifests: Mapping[str, str]) -> None:
        """Raises Refused where two workers that began together differ."""
        with self._connecting:
            for name, digest in manifests.items():
                if self._manifests.setdefault(name, digest) != digest:
                    raise Refused(f"its toolchain {name} holds other files than the first worker's")


class Local:
    """A scheduler in this process, and workers of one step each as processes beside it.

    They are forks of one, which has imported dask.
    """

    def __init__(self, root: Path, count: int) -> None:
        distributed = dask.load(root)
        self._scheduler = distributed.LocalCluster(
            n_workers=0, host="127.0.0.1", scheduler_port=0, dashboard_address=None
        )
        self.address: str = self._scheduler.scheduler_address
        logs = root / ".npumake" / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-s", "-X", "utf8", str(root / "dodo.py"), "worker"]
        options = ["-n", "1", "--once", "--host", "127.0.0.1", "--forks", str(count)]
        self._workers = subprocess.Popen(
            [*command, self.address, *options],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(logs / "worker-0.log").open("wb"),
            start_new_session=True,  # the terminal's Ctrl-C is not for it
        )
        console.say(f"{count} workers on this machine", "dim")

    def close(self) -> None:
        self._workers.terminate()
        self._scheduler.close(timeout=5)
        try:
            self._workers.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._workers.pid, signal.SIGKILL)
            self._workers.wait()
