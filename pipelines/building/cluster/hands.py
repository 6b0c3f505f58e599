"""What a worker does when the front asks: says who it is, keeps and gives objects, runs a step."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from pipelines.building.cluster import identity
from pipelines.building.cluster.objects import Objects
from pipelines.building.cluster.order import Files, Order, Reply, read_order
from pipelines.files.confined import Refused
from pipelines.files.engine import CODE
from pipelines.record.digest import Read
from pipelines.run.machine import free_bytes
from pipelines.run.toolchain.toolchain import Environments, ToolchainError
from pipelines.run.worker import Failed, Result, Stopped, Worker

_MOST_LOG = 2_000_000  # characters that come home of a log: its end
_LOOK_S = 0.3
T = TypeVar("T")


class Hands:
    """root: a checkout of the worker's own. distributed: its version. slots: steps at once.

    name: what the front calls it. fetches: see Objects.
    """

    def __init__(
        self, root: Path, distributed: str, slots: int, name: str, *, fetches: bool
    ) -> None:
        self.root = root
        self.name = name
        self.slots = slots
        self._environments = Environments(root)
        self._identity = identity.own(distributed)
        self._engine = identity.Engine(CODE)
        self._fetches = fetches
        self._objects = Objects(root, fetches=fetches)
        self._worker = Worker(root)
        self._memory = free_bytes()
        self._making = threading.Lock()
        self._toolchains: dict[str, str] = {}  # whose files were looked at, and their digest
        self._steps = ThreadPoolExecutor(slots)
        self._files = ThreadPoolExecutor(4)

    def handlers(self) -> dict[str, Callable[..., Any]]:
        """Operation -> what dask calls, by the names of a message's keys."""
        return {
            "npumake_hello": self.hello,
            "npumake_put": self.put,
            "npumake_get": self.get,
            "npumake_run": self.run,
        }

    async def hello(self, toolchains: list[str]) -> str:
        """toolchains: those that will be needed."""
        made = await _in(self._files, lambda: self._made(toolchains))
        return json.dumps(
            {
                "manifests": made,
                "name": self.name,
                "identity": self._identity,
                "slots": self.slots,
                "memory": self._memory,
                "fetches": self._fetches,
            }
        )

    async def put(self, sender: str, parts: list[Any]) -> str:
        """parts: MD5, offset, size of the whole, data. Returns what is wrong, or nothing."""

        def write() -> str:
            try:
                for md5, offset, size, data in parts:
                    self._objects.put(sender, md5, offset, size, data)
            except (Refused, OSError) as error:
                return str(error)
            return ""

        return await _in(self._files, write)

    async def get(self, parts: list[Any]) -> list[bytes]:
        """parts: MD5, offset, length. Returns nothing where one is not here any more."""

        def read() -> list[bytes]:
            try:
                return [self._objects.get(*each) for each in parts]
            except (Refused, OSError):
                return []

        return await _in(self._files, read)

    async def run(self, comm: Any, order: str) -> str:
        """One step, to its end or to that of the front's connection."""
        is_wanted = threading.Event()
        is_wanted.set()
        running = asyncio.ensure_future(_in(self._steps, lambda: self._run(order, is_wanted)))
        try:
            while not running.done():
                await asyncio.wait([running], timeout=_LOOK_S)
                if comm.closed():
                    is_wanted.clear()
        finally:
            is_wanted.clear()
        return running.result().text

    def close(self) -> None:
        self._worker.close()
        self._steps.shutdown(wait=False, cancel_futures=True)
        self._files.shutdown(wait=False, cancel_futures=True)
        self._objects.close()

    def _run(self, text: str, is_wanted: threading.Event) -> Reply:
        if not is_wanted.is_set():
            return Reply(is_stopped=True)
        if not self._engine.is_unchanged:
            return Reply(refused="its checkout was changed since it started\n  start it again")
        try:
            order = read_order(text)
            if lacks := self._lacks(order):
                return Reply(lacks=lacks)
            manifests = self._manifests(order)
            if (why := identity.other_toolchain(order.manifests, manifests)) is not None:
                return Reply(refused=why)
            return self._run_order(order, manifests, is_wanted)
        except (Refused, ToolchainError) as error:
            return Reply(refused=str(error))
        except OSError as error:
            return Reply(failed=f"{error.strerror or error}: {error.filename or ''}")
        except Exception as error:  # dask would send it home pickled
            return Reply(failed=f"{type(error).__name__}: {error}\n  a defect of npumake's worker")

    def _lacks(self, order: Order) -> tuple[str, ...]:
        """What has to be sent: neither here nor in the remote, where that is asked."""
        files = [files for _, files in order.inputs.values()]
        if (lacks := self._objects.lacks(files)) and self._fetches:
            self._objects.fetch(lacks)
            lacks = self._objects.lacks(files)
        return lacks

    def _made(self, names: Iterable[str]) -> dict[str, str]:
        """Digests of what is made already. What is wrong with one is told when it is used."""
        try:
            return identity.made(self._environments, names)
        except ToolchainError:
            return {}

    def _manifests(self, order: Order) -> dict[str, str]:
        """Of the order's toolchains, which are made where they are not. Raises ToolchainError."""
        with self._making:
            for name in order.manifests:
                if name not in self._toolchains:
                    self._environments.make([name])
                    self._toolchains[name] = identity.manifest(self._environments, name)
            return {name: self._toolchains[name] for name in order.manifests}

    def _run_order(
        self, order: Order, manifests: Mapping[str, str], is_wanted: threading.Event
    ) -> Reply:
        folder = self.root / ".npumake" / "cluster" / "in" / f"{os.getpid()}-{uuid.uuid4().hex}"
        log = folder / "log"
        folder.mkdir(parents=True)
        try:
            self._objects.lay_out(folder, order.inputs)
            ended = self._end(order, folder, log, is_wanted)
            text = log.read_text(encoding="utf-8", errors="replace")[-_MOST_LOG:]
            return Reply(**{**vars(ended), "manifests": manifests, "log": text})
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _end(self, order: Order, folder: Path, log: Path, is_wanted: threading.Event) -> Reply:
        try:
            result = self._worker.run(order.step, log, inputs_in=folder, is_wanted=is_wanted.is_set)
        except Stopped:
            return Reply(is_stopped=True)
        except Failed as error:
            told = str(error).replace(log.relative_to(self.root).as_posix(), order.log)
            return Reply(failed=told, cure=error.cure)
        try:
            outputs = {name: self._kept(result, name) for name in order.outputs}
        finally:
            shutil.rmtree(result.folder, ignore_errors=True)
        return Reply(outputs=outputs, seconds=result.seconds, peak_bytes=result.peak_bytes)

    def _kept(self, result: Result, name: str) -> Files:
        reads: Mapping[str, Read] = self._objects.store.take(result.out / name).reads
        return {below: (read.md5, read.status.st_size) for below, read in reads.items()}


async def _in(pool: ThreadPoolExecutor, act: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, act)
