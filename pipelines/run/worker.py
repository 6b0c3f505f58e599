"""Runs a step's jobs in its toolchains, in fresh forked children; results stay aside."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pipelines.files.engine import CODE, PREFIX
from pipelines.record.step import Step, Work
from pipelines.run import work_folders
from pipelines.run.last_node import last_node
from pipelines.run.machine import blas_kernels
from pipelines.run.toolchain.toolchain import Environments, ToolchainError, load

# The child's environment is this and nothing else of the user's: the same build everywhere.
# MALLOC_PERTURB_: the SDK writes uninitialised heap into the file; see pipelines.run.jobs.memory.
_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_PERTURB_": "85",
    "TQDM_DISABLE": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
}
_DYING_S = 10.0  # a process in the kernel, as one that writes to a slow disk, dies later
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_TELLING = re.compile(r"\b(error|exception|fail|fatal|abort|refus|REGTASK|not support)", re.I)
_HARMLESS = re.compile(r"Unkown op target: 0|Traceback \(most recent|^\s*File \"")


class Failed(Exception):
    """A step failed. str(): what, advice, the log's last telling lines and where the log is.

    cure: options of the backend's toolkit that the job named as a way around, by their own names.
    """

    def __init__(self, message: str, cure: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.cure = dict(cure or {})


class Stopped(Exception):
    """The step was stopped from outside: Ctrl-C, or another step's failure."""


@dataclass(frozen=True)
class Result:
    """Folder that holds the step's outputs, not yet in place. The caller removes `folder`.

    seconds: what the jobs took. peak_bytes: of the largest process among them.
    """

    folder: Path
    out: Path
    seconds: float = 0.0
    peak_bytes: int = 0


class Worker:
    """root: the project. One fork server a toolchain, started when first needed.

    One more for each environment that jobs need: libraries read it once, as they load.
    """

    is_elsewhere: ClassVar[bool] = False  # whether other machines run the steps

    def __init__(self, root: Path) -> None:
        self._root = root
        self._environments = Environments(root)
        self._servers: dict[tuple[str, tuple[tuple[str, str], ...]], _Server] = {}
        self._guard = threading.Lock()
        self._is_stopped = False
        for folder in work_folders.abandoned(root):
            shutil.rmtree(folder, ignore_errors=True)

    def run(
        self,
        step: Step,
        log: Path,
        *,
        inputs_in: Path | None = None,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Result:
        """Run the step's jobs in order. Raises Failed or Stopped; then nothing is left behind.

        inputs_in: where the step's paths count from; by default the project. is_wanted: asked now
        and then; where it says no, the job is killed.
        """
        began = time.monotonic()
        end = None if step.limit_s is None else began + step.limit_s
        folder = work_folders.make(self._root, step)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        try:
            inputs = _lay_out(step, folder, inputs_in or self._root)
            until = _Until(end, is_wanted)
            peaks = [
                self._run_together({**told, "inputs": inputs}, works, folder, log, until)
                for works, told in _with_processes(step)
            ]
            _require_outputs(step, folder / "out")
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise Failed(_disk_message(error)) from error
        except _OutOfTime:
            shutil.rmtree(folder, ignore_errors=True)
            raise Failed(_limit_message(step, log, self._root)) from None
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        seconds = time.monotonic() - began
        return Result(folder, folder / "out", seconds, max(peaks, default=0))

    def close(self) -> None:
        """Stop every server and whatever still runs in it."""
        with self._guard:
            self._is_stopped = True
            for server in self._servers.values():
                server.close()

    def _run_together(
        self,
        order: dict[str, Any],
        works: Sequence[Work],
        folder: Path,
        log: Path,
        until: _Until,
    ) -> int:
        """order: what it holds of the step. Returns the bytes of the largest process."""
        work, *then = works
        order = {
            **order,
            "module": work.module,
            "params": work.params,
            "then": [
                {"module": each.module, "params": each.params, "heading": _heading(each)}
                for each in then
            ],
            "folder": str(folder),
            "log": str(log),
        }
        with log.open("a", encoding="utf-8") as file:
            print(_heading(work), file=file)
        server = self._server(work.toolchain, work.environment)
        status, peak_bytes = server.run(order, until)
        if self._is_stopped:
            raise Stopped
        if status != 0:
            told = _explain(status, work.toolchain, folder, log, self._root)
            raise Failed(told, _refusal(folder).get("cure"))
        return peak_bytes

    def _server(self, name: str, needed: Mapping[str, str]) -> _Server:
        key = name, tuple(sorted(needed.items()))
        with self._guard:
            if self._is_stopped:
                raise Stopped
            if key not in self._servers or not self._servers[key].is_alive:
                try:
                    self._servers[key] = _Server(self._root, self._environments, name, needed)
                except ToolchainError as error:
                    raise Failed(str(error)) from error
            return self._servers[key]


def _with_processes(step: Step) -> Iterator[tuple[list[Work], dict[str, str]]]:
    """The step's jobs, those together that run in one process: neighbours of the same server.

    A fork takes 5 to 10 ms, as much as a small job. With the last ones, what the order says of
    their process: one with an environment is in a server of its own, where nobody would look.
    """
    groups = [[*works] for _, works in itertools.groupby(step.work(), _server_key)]
    for works in groups:
        told = {}
        if works is groups[-1] and step.goes_on:
            told["goes_on_in"] = step.goes_on_in
        if works is groups[-1] and step.is_kept and not works[-1].environment:
            told["keep_as"] = step.name
        yield works, told


def _server_key(work: Work) -> tuple[str, tuple[tuple[str, str], ...]]:
    return work.toolchain, tuple(sorted(work.environment.items()))


def _heading(work: Work) -> str:
    """What stands in the log before what a job prints."""
    return f"=== {work.module} in {work.toolchain}"


class _OutOfTime(Exception):
    """The step has used up its limit; what ran of it is killed."""


@dataclass(frozen=True)
class _Until:
    """How long a step's jobs may run. end: by time.monotonic()."""

    end: float | None
    is_wanted: Callable[[], bool]

    def over(self) -> Exception | None:
        if self.end is not None and time.monotonic() > self.end:
            return _OutOfTime()
        return None if self.is_wanted() else Stopped()


class _Server:
    """One running fork server. Safe to use from several threads."""

    def __init__(
        self, root: Path, environments: Environments, name: str, needed: Mapping[str, str]
    ) -> None:
        """needed: variables that it starts with, beside those of every server."""
        toolchain = load(root, name)
        python = environments.python(name)
        settings = {
            "paths": [*(str(root / PREFIX / path) for path in toolchain.paths), str(CODE)],
            "preload": toolchain.preload,
        }
        script = Path(__file__).with_name("fork_server.py")
        self._log = root / ".npumake" / "logs" / f"server-{'-'.join((name, *needed))}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._name = name
        self._numbers = itertools.count()
        self._waiting: dict[int, tuple[threading.Event, list[int]]] = {}
        self._guard = threading.Lock()
        self.is_alive = True
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(python), "-s", str(script), json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**environment(python), **needed},
                cwd="/",
                start_new_session=True,  # the terminal's Ctrl-C is not for it
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def run(self, order: dict[str, Any], until: _Until) -> tuple[int, int]:
        """Run one job to its end. Returns its wait status, and its peak of memory in bytes.

        Raises _OutOfTime or Stopped as `until` says, once the job is dead.
        """
        number = next(self._numbers)
        done, status = threading.Event(), [-1, 0]
        with self._guard:
            self._waiting[number] = (done, status)
        self._send({**order, "number": number})
        while not done.wait(0.2):  # a bare wait() would hold off Ctrl-C in the main thread
            if not self.is_alive:
                break
            if (reason := until.over()) is not None:
                self._send({"stop": number})
                done.wait(_DYING_S)
                raise reason
        if status[0] == -1:
            lines = _telling_lines(self._log)
            raise Failed(
                f"toolchain {self._name} died\n  {lines}\n"
                f"  see {self._log}; to make it anew: ./doit toolchains --remake {self._name}"
            )
        return status[0], status[1]

    def close(self) -> None:
        self.is_alive = False
        if self._process.stdin:
            try:
                self._process.stdin.close()
            except OSError:
                pass

    def _send(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            with self._guard:
                self._process.stdin.write(json.dumps(order).encode() + b"\n")
                self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            self.is_alive = False

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            if event["event"] == "ended":
                with self._guard:
                    done, status = self._waiting.pop(event["number"])
                status[:] = event["status"], event["peak_bytes"]
                done.set()
        self.is_alive = False
        with self._guard:
            waiting, self._waiting = self._waiting, {}
        for done, _ in waiting.values():
            done.set()


def environment(python: Path) -> dict[str, str]:
    """What a toolchain's processes see of the user's environment, and what they need."""
    kept = {k: v for k, v in os.environ.items() if k in ("HOME", "TMPDIR", "USER", "LOGNAME")}
    return {**kept, "PATH": f"{python.parent}:/usr/bin:/bin", **_ENVIRONMENT, **_of_processor()}


@cache
def _of_processor() -> Mapping[str, str]:
    kernels = blas_kernels()
    return {"OPENBLAS_CORETYPE": kernels} if kernels else {}


def _lay_out(step: Step, folder: Path, root: Path) -> dict[str, str]:
    """Make `in/` (links to the dependencies) and `out/`. Returns name -> path below the folder."""
    (folder / "out").mkdir()
    inputs = {}
    for name, path in step.inputs.items():
        below = Path("in", name if Path(name).suffix or "/" in name else _named(name, path))
        (folder / below).parent.mkdir(parents=True, exist_ok=True)
        (folder / below).symlink_to((root / path).resolve())
        inputs[name] = below.as_posix()
    return inputs


def _named(name: str, path: str) -> str:
    """`model` + `.../a.onnx` -> `model.onnx`: the SDK tells formats by the file's ending."""
    return name + Path(path).suffix


def _require_outputs(step: Step, out: Path) -> None:
    absent = [name for name in step.outputs if not (out / name).exists()]
    if absent:
        raise Failed(f"the step ended without making {', '.join(absent)}: a defect of npumake")


def _limit_message(step: Step, log: Path, root: Path) -> str:
    return (
        f"ran longer than the {(step.limit_s or 0) / 60:g} minutes that `limits` allows a step in "
        f"{step.folder}/recipe.yaml, and was stopped\n  {_telling_lines(log)}\n"
        "  raise `limits: {minutes: ...}`, or give the step less to do\n"
        f"  log: {log.relative_to(root)}"
    )


def _explain(status: int, toolchain: str, folder: Path, log: Path, root: Path) -> str:
    where = f"log: {log.relative_to(root)}"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        what = f"died of {signal.Signals(number).name}"
        advice = (
            "out of memory? run fewer steps at once (-n 1)"
            if number == signal.SIGKILL
            else f"{load(root, toolchain).crashed} crashed; the lines below are its last"
        )
        node = last_node(_text(log), folder / "in")
        at = f"; the log was last at {node}" if node else ""
        return f"{what}: {advice}{at}\n  {_telling_lines(log)}\n  {where}"
    told = _refusal(folder)
    if not told:
        if os.strerror(errno.ENOSPC) in log.read_text(encoding="utf-8", errors="replace"):
            # There was no room for the refusal either.
            return (
                f"the disk is full\n  free some space, then run the same command again\n  {where}"
            )
        code = os.waitstatus_to_exitcode(status)
        return f"ended with code {code}\n  {_telling_lines(log)}\n  {where}"
    if told.get("errno") == str(errno.ENOSPC):
        return f"the disk is full\n  free some space, then run the same command again\n  {where}"
    lines = told["what"].splitlines() + told["advice"].splitlines()
    if not told["is_refusal"]:
        lines += [_telling_lines(log)]
    return "\n  ".join([*lines, where])


def _refusal(folder: Path) -> dict[str, Any]:
    """What the job said; empty where it died before it could."""
    try:
        return dict(json.loads((folder / "refusal.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _telling_lines(log: Path, count: int = 4) -> str:
    """The log's last lines that tell something, without colours and progress bars."""
    lines = [_ESCAPE.sub("", line).rsplit("\r", 1)[-1].strip() for line in _text(log).splitlines()]
    lines = [line for line in lines if line and not _HARMLESS.search(line)]
    telling = [line for line in lines if _TELLING.search(line)] or lines
    return "\n  ".join(f"| {line[:160]}" for line in telling[-count:])


def _text(log: Path) -> str:
    """The log's end."""
    try:
        return log.read_text(encoding="utf-8", errors="replace")[-200_000:]
    except OSError:
        return ""


def _disk_message(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full\n  free some space, then run the same command again"
    return f"{error.strerror or error}: {error.filename or ''}"
