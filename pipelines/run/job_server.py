"""Runs inside a toolchain: imports its heavy packages once, then forks a child an order.

A fresh process for every job costs 2-3 s of imports with the vendor's SDK; a fork of this one costs
tens of milliseconds and starts as clean. Standard library only; pipelines.run.worker, which starts
it by fork_server.py, writes one JSON line an order to stdin and reads one JSON line an event from
stdout.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.run.kept import Kept

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_OF_EVERY_JOB = (
    *("pipelines.run.jobs.decode", "pipelines.run.jobs.job", "pipelines.run.jobs.memory"),
    "pipelines.run.kept",
)
_PRCTL = ctypes.CDLL(None).prctl


def main(preload: Sequence[str]) -> None:
    """preload: modules that are imported before any job."""
    # Packages print banners when imported; events need stdout for themselves.
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    gc.disable()  # what imports make stays: to look for garbage among it takes a third of torch's
    for module in (*preload, *_OF_EVERY_JOB):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # a child that collects garbage would copy every page of what is imported
    gc.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the front end's to handle
    # What a job leaves running becomes a child of this process, which can wait for its end.
    _PRCTL(PR_SET_CHILD_SUBREAPER, 1)
    wake, alarm = os.pipe()
    os.set_blocking(alarm, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    print(json.dumps({"event": "ready"}), file=events)
    serve(events, wake)


def serve(events: Any, wake: int) -> None:
    """Take orders until stdin closes, as it does when the front end dies, however it dies."""
    from pipelines.run.kept import Kept

    jobs: dict[int, int] = {}  # process -> order's number
    kept = Kept()
    pending = b""
    while True:
        waits_for: list[Any] = [0, wake, *kept.lines]
        readable, _, _ = select.select(waits_for, [], [])
        for line in kept.lines:
            if line in readable and (told := kept.hear(line)):
                tell(jobs.pop(told[0]), 0, told[1], events)
        if wake in readable:
            os.read(wake, 4096)
            reap(jobs, kept, events)
        if 0 in readable:
            data = os.read(0, 1 << 16)
            if not data:
                stop([*jobs, *kept.processes])
                return
            *orders, pending = (pending + data).split(b"\n")
            for order in orders:
                obey(json.loads(order), jobs, kept, events)


def obey(order: dict[str, Any], jobs: dict[int, int], kept: Kept, events: Any) -> None:
    if "stop" in order:
        stop(process for process, number in jobs.items() if number == order["stop"])
        return
    process = kept.hand(order.get("goes_on_in", ""), order) or start(order, kept, events)
    jobs[process] = order["number"]


def start(order: dict[str, Any], kept: Kept, events: Any) -> int:
    """Fork a child that runs the order. Returns its process."""
    line, theirs = socket.socketpair() if "keep_as" in order else (None, None)
    server = os.getpid()
    process = os.fork()
    if process == 0:
        os.close(events.fileno())
        kept.leave()
        if line:
            line.close()
        child(order, server, theirs)
    if line and theirs:
        theirs.close()
        kept.expect(process, order["keep_as"], line)
    return process


def reap(jobs: dict[int, int], kept: Kept, events: Any) -> None:
    """Tell of each job that has ended, once nothing that it started runs any more."""
    for process, status, peak_bytes in ended():
        kept.lost(process)
        if process in jobs:
            peak_bytes = max(peak_bytes, wait_for_group(process))
            tell(jobs.pop(process), status, peak_bytes, events)


def tell(number: int, status: int, peak_bytes: int, events: Any) -> None:
    told = {"event": "ended", "number": number, "status": status, "peak_bytes": peak_bytes}
    print(json.dumps(told), file=events)


def ended() -> Iterator[tuple[int, int, int]]:
    """Children that have ended, their wait status, and their peak of memory in bytes."""
    with contextlib.suppress(ChildProcessError):
        while (end := os.wait4(-1, os.WNOHANG))[0]:
            yield end[0], end[1], 1024 * end[2].ru_maxrss


def wait_for_group(process: int) -> int:
    """Kill what is left of the group of a job that has ended, and wait until it is gone.

    Returns the peak of memory of what was left.
    """
    peak_bytes = 0
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.killpg(process, signal.SIGKILL)
        while True:
            peak_bytes = max(peak_bytes, 1024 * os.wait4(-process, 0)[2].ru_maxrss)
    return peak_bytes


def stop(processes: Iterable[int]) -> None:
    """Kill jobs that were not reaped yet, and what they started."""
    for process in processes:
        try:
            os.killpg(process, signal.SIGKILL)
        except ProcessLookupError:  # it has no group of its own yet
            os.kill(process, signal.SIGKILL)


def child(order: dict[str, Any], server: int, line: socket.socket | None) -> None:
    """Run one order in a process of its own; with a line to the server also what goes on in it.

    Never returns.
    """
    code = 1
    try:
        os.setsid()
        _PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:  # it died before the line above
            os._exit(1)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash of the SDK leaves no core file
        take_up(order)
        run(order)
        if line is not None and (more := wait_for_more(line)):
            order = more
            take_up(order)
            run(order)
        code = 0
    except BaseException as error:  # whatever user code or the SDK raises is this job's result
        report(order, error)
    finally:
        flush()
        os._exit(code)


def take_up(order: dict[str, Any]) -> None:
    """Be in the order's folder, and print to its log."""
    redirect(order["log"])
    os.chdir(order["folder"])
    keep_temporary_files_here()


def wait_for_more(line: socket.socket) -> dict[str, Any] | None:
    """An order that goes on in this process, which holds nothing of the one before but memory."""
    from pipelines.run.kept import next_order

    flush()
    redirect(os.devnull)
    os.chdir("/")
    return next_order(line)


def keep_temporary_files_here() -> None:
    """In the working folder, which goes with the job: TensorFlow removes its own as it exits.

    Nobody exits here, and some are killed. By this name, the path is as long in every folder: the
    vendor's SDK leaks memory into its files.
    """
    tempfile.tempdir = os.environ["TMPDIR"] = "/proc/self/cwd"


def redirect(log: str) -> None:
    """stdin from nothing; stdout and stderr, the native ones too, to the step's log."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for opened, streams in ((nothing, (0,)), (file, (1, 2))):
        for stream in streams:
            os.dup2(opened, stream)
        os.close(opened)


def run(order: dict[str, Any]) -> None:
    from pipelines.run.jobs.decode import decoded, params_type
    from pipelines.run.jobs.job import Job
    from pipelines.run.jobs.memory import settle

    inputs = {name: Path(path) for name, path in order["inputs"].items()}
    for told in (order, *order.get("then", ())):
        if "heading" in told:
            print(told["heading"], flush=True)
        settle(is_settled=False)  # a job that needs it says so
        work = importlib.import_module(told["module"]).run
        params = decoded(params_type(work), told["params"])
        work(Job(params, inputs, Path("out"), Path()))


def report(order: dict[str, Any], error: BaseException) -> None:
    """Leave what went wrong where the front end looks for it."""
    what = getattr(error, "what", None)
    if what is None:
        traceback.print_exc()
        what = f"{type(error).__name__}: {error}"
    told = {
        "what": str(what),
        "advice": getattr(error, "advice", ""),
        "cure": getattr(error, "cure", {}),
        "is_refusal": hasattr(error, "what"),
    }
    if isinstance(error, OSError):
        told["errno"] = str(error.errno)
    try:
        Path(order["folder"], "refusal.json").write_text(json.dumps(told))
    except OSError:
        traceback.print_exc()


def flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
