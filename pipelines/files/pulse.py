"""What goes on now, told where nothing else was for eight seconds.

A thread of its own tells it, and waits for nothing that the work holds. It starts before what takes
long to import, and ends with the command. Standard library only, and little of it.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipelines.files import console

# With what a busy machine adds, below the ten seconds of silence in which one thinks that it hangs.
SILENCE_S = 8.0
_TICK_S = 1.0
_tokens = itertools.count()
_began: dict[int, float] = {}
_phases: dict[int, str] = {}  # what the command does; the last counts
_steps: dict[int, str] = {}
_sources: dict[int, Callable[[], str]] = {}


@contextmanager
def phase(what: str) -> Iterator[None]:
    """While the command does this."""
    with _during(_phases, what):
        yield


@contextmanager
def of_others(what: str) -> Iterator[None]:
    """While another program does this, which draws its own progress on a terminal."""
    with phase("" if console.is_live() else what):
        yield


@contextmanager
def step(name: str) -> Iterator[None]:
    """While this step, of perhaps many at once, is brought up to date."""
    with _during(_steps, name):
        yield


@contextmanager
def told_by(source: Callable[[], str]) -> Iterator[None]:
    """While this tells better of what runs. It gives nothing where nothing does."""
    with _during(_sources, source):
        yield


@contextmanager
def _during(kept: dict[int, Any], what: Any) -> Iterator[None]:
    token = next(_tokens)
    _began[token] = time.monotonic()
    kept[token] = what
    try:
        yield
    finally:
        del kept[token], _began[token]


class Progress:
    """How far a long work on a file is, told from its second second on.

    what: the work and the file, such as `hashing data/x.npy`.
    """

    def __init__(self, what: str, size_bytes: int) -> None:
        self._what, self._size_bytes = what, size_bytes
        self._next = time.monotonic() + 1
        self._text = ""

    def reach(self, done_bytes: int) -> None:
        """Note how far it is, and say so where it is time to and no terminal shows it."""
        now = time.monotonic()
        if now < self._next:
            return
        done, size = done_bytes / self._size_bytes, console.quantity(self._size_bytes)
        self._text = f"{self._what}: {done:.0%} of {size}"
        self._next = now
        if not console.is_live():
            self._next = now + SILENCE_S
            console.say(self._text)

    @contextmanager
    def shown(self) -> Iterator[Progress]:
        """While the work goes on."""
        with told_by(lambda: self._text):
            yield self


def of_steps() -> str:
    """What runs now, and for how long."""
    for source in reversed([*_sources.values()]):
        if told := source():
            return told
    return ", ".join(sorted(map(_told, [*_steps.items()])))


def of_all() -> str:
    """What runs now, else what the command does."""
    return of_steps() or next(map(_told, reversed([*_phases.items()])), "starting")


def _told(what: tuple[int, str]) -> str:
    token, name = what
    now = time.monotonic()
    return f"{name} {now - _began.get(token, now):.0f} s" if name else ""


class _Pulse(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="pulse", daemon=True)
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(_TICK_S):
            beat()


_running: list[_Pulse] = []


def begin() -> None:
    """Tell from now on, until the end. Further calls change nothing."""
    if not _running:
        _running.append(_Pulse())
        _running[0].start()


def end() -> None:
    """Tell no more, and leave a terminal's last line empty."""
    while _running:
        pulse = _running.pop()
        pulse.ended.set()
        pulse.join()
    console.show("")


def show() -> None:
    """Renew a terminal's last line, which tells of steps."""
    if console.is_live():
        console.show(of_steps())


def beat() -> None:
    """As `show`, and end a silence by a line of its own."""
    show()
    if console.silence_s() >= SILENCE_S and (text := of_all()):
        console.say(text)
