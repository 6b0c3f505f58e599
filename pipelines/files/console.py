"""The one place that knows colours, widths and terminals. stdout is data, stderr narration."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipelines.files.quantity import quantity as quantity
from pipelines.files.terminal import data_width, told_width

_guard = threading.Lock()
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


class _State:
    """told: when something last was. last: what a terminal shows below all that is told."""

    def __init__(self) -> None:
        self.told = time.monotonic()
        self.last = ""


_STATE = _State()


def say(text: str, colour: str | None = None) -> None:
    """One narration line on stderr."""
    with _above_last_line():
        print(paint(text, colour, sys.stderr.isatty()), file=sys.stderr, flush=True)


def tell(text: str = "", colour: str | None = None) -> None:
    """One line of data on stdout."""
    with _above_last_line():
        print(paint(text, colour, sys.stdout.isatty()), flush=True)


def show(text: str) -> None:
    """Renew the last line of a terminal, which stays below what is told; elsewhere do nothing."""
    if (text or _STATE.last) and is_live():
        with _guard:
            _clear()
            _STATE.last = text[: width() - 1]
            _draw()


def silence_s() -> float:
    """Seconds in which nothing was told, and no last line shown."""
    return 0.0 if _STATE.last else time.monotonic() - _STATE.told


def is_live() -> bool:
    """Whether narration goes to a terminal that can renew a line."""
    return sys.stderr.isatty() and not is_dumb()


@contextmanager
def _above_last_line() -> Iterator[None]:
    with _guard:
        _clear()
        yield
        _STATE.told = time.monotonic()
        _draw()


def _clear() -> None:
    if _STATE.last:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _draw() -> None:
    if _STATE.last:
        print(_STATE.last, end="", file=sys.stderr, flush=True)


def paint(text: str, colour: str | None, is_terminal: bool) -> str:
    if colour is None or not is_terminal or os.environ.get("NO_COLOR") or is_dumb():
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def is_dumb() -> bool:
    """Whether the terminal knows no colours and can't go back in a line."""
    return os.environ.get("TERM") == "dumb"


def width() -> int:
    return told_width() or data_width() or 80


def table(
    rows: Sequence[Sequence[str]], right: Sequence[int] = (), most: int | None = None
) -> list[str]:
    """Aligned lines; `right` are the columns set flush right. No trailing blanks.

    most: the lines' length, where one is wished: columns move closer, and first cells that are
    too long even so get a line of their own.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    gap = "  "
    if most is not None and sum(widths) + 2 * (len(widths) - 1) > most:
        gap = " "
        room = most - sum(widths[1:]) - (len(widths) - 1)
        rows = [part for row in rows for part in _parts(row, room)]
        widths[0] = max(len(row[0]) for row in rows if len(row) > 1)
    return [
        gap.join(
            cell.rjust(w) if i in right else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in rows
    ]


def _parts(row: Sequence[str], room: int) -> list[Sequence[str]]:
    return [row] if len(row[0]) <= room else [row[:1], ["", *row[1:]]]


def wrap(sentence: str, indent: str = "", most: int | None = None) -> list[str]:
    """A sentence in lines of the terminal's width, 100 at most; `indent`: before further lines.

    most: the lines' length, where one is wished.
    """
    return textwrap.wrap(sentence, most or min(width(), 100), subsequent_indent=indent)
