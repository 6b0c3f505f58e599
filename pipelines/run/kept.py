"""Processes whose job has succeeded, kept for a later job that goes on with what is in memory.

Imported by pipelines.run.job_server, whose children they are; standard library only.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.run.jobs.memory import give_back
from pipelines.run.machine import free_bytes

MOST = 4  # at once
SHARE = 8  # of the memory that is available, one part


@dataclass
class _Process:
    """A child. line: to it. held_bytes: memory of its own, once its job has ended."""

    number: int
    name: str
    line: socket.socket
    held_bytes: int = 0


class Kept:
    """What a server has of them: those that may be kept, and those that wait, the oldest first."""

    def __init__(self) -> None:
        self._running: dict[socket.socket, _Process] = {}
        self._waiting: dict[str, _Process] = {}

    @property
    def lines(self) -> list[socket.socket]:
        """Those that may be heard of."""
        return list(self._running)

    @property
    def processes(self) -> list[int]:
        """Those that wait."""
        return [each.number for each in self._waiting.values()]

    def expect(self, process: int, name: str, line: socket.socket) -> None:
        """A child whose job has begun."""
        self._running[line] = _Process(process, name, line)

    def hear(self, line: socket.socket) -> tuple[int, int] | None:
        """A job that has succeeded: its process, which waits now, and its peak of memory in bytes.

        None where the process ends, or has ended.
        """
        process = self._running.pop(line)
        if not (told := _received(line)):
            line.close()
            return None
        peak_bytes, process.held_bytes = json.loads(told)
        self._end(process.name)
        self._waiting[process.name] = process
        self._keep_few()
        return process.number, peak_bytes

    def hand(self, name: str, order: dict[str, Any]) -> int | None:
        """Give the order to the process of that name; None where there is none any more."""
        process = self._waiting.pop(name, None)
        if process is None:
            return None
        with process.line as line:
            try:
                line.sendall(json.dumps(order).encode() + b"\n")
            except OSError:  # it was killed
                return None
        return process.number

    def lost(self, process: int) -> None:
        """A child has ended."""
        for line in [key for key, one in self._running.items() if one.number == process]:
            self._running.pop(line).line.close()
        for name in [key for key, one in self._waiting.items() if one.number == process]:
            self._waiting.pop(name).line.close()

    def leave(self) -> None:
        """In a child, which must not hold the lines of others: they end when the server does."""
        for each in (*self._running.values(), *self._waiting.values()):
            each.line.close()

    def _keep_few(self) -> None:
        room = _room()
        while len(self._waiting) > MOST or self._held_bytes() > room:
            self._end(next(iter(self._waiting)))

    def _held_bytes(self) -> int:
        return sum(each.held_bytes for each in self._waiting.values())

    def _end(self, name: str) -> None:
        process = self._waiting.pop(name, None)
        if process is not None:
            process.line.close()
            os.kill(process.number, signal.SIGKILL)  # not reaped yet: it is still that process


def next_order(line: socket.socket) -> dict[str, Any] | None:
    """In the child: say that its job has succeeded, and wait for one that goes on here.

    None where the job has left processes, which end with this one. Does not return where the server
    has ended, or wants no more of it.
    """
    with line:
        if _has_children():
            return None
        if _held_bytes() > _room():
            give_back()
        line.sendall(json.dumps([_peak_bytes(), _held_bytes()]).encode())
        with line.makefile("rb") as orders:
            order = orders.readline()
    if not order:
        os._exit(0)
    return dict(json.loads(order))


def _received(line: socket.socket) -> bytes:
    """Empty where the process has ended."""
    try:
        return line.recv(1000)
    except OSError:
        return b""


def _room() -> int:
    """Bytes that all that wait may hold."""
    return free_bytes() // SHARE


def _has_children() -> bool:
    """Also where that can't be told."""
    try:
        return any((one / "children").read_text() for one in Path("/proc/self/task").iterdir())
    except OSError:
        return True


def _peak_bytes() -> int:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return 1024 * max(resource.getrusage(one).ru_maxrss for one in whose)


def _held_bytes() -> int:
    """Of no file, and of no other process."""
    _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - int(shared)) * resource.getpagesize()
