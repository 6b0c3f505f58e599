"""The one place that knows colours, widths and terminals. stdout is data, stderr narration."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
import time
from collections.abc import Sequence

from pipelines.files.quantity import quantity as quantity
from pipelines.files.terminal import data_width, told_width

_guard = threading.Lock()
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


def say(text: str, colour: str | None = None) -> None:
    """One narration line on stderr."""
    with _guard:
        print(paint(text, colour, sys.stderr.isatty()), file=sys.stderr, flush=True)


def tell(text: str = "", colour: str | None = None) -> None:
    """One line of data on stdout."""
    with _guard:
        print(paint(text, colour, sys.stdout.isatty()), flush=True)


class Progress:
    """How far a long work on a file is: a line renewed on a terminal, one now and then elsewhere.

    what: the work and the file, such as `hashing data/x.npy`. Nothing is said in the first second.
    """

    def __init__(self, what: str, size_bytes: int) -> None:
        self._what, self._size_bytes = what, size_bytes
        self._is_live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next = time.monotonic() + 1
        self._is_shown = False

    def reach(self, done_bytes: int) -> None:
        """Say how far it is, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.5 if self._is_live else 30)
        text = f"{self._what}: {done_bytes / self._size_bytes:.0%} of {quantity(self._size_bytes)}"
        if not self._is_live:
            say(text)
            return
        with _guard:
            print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)
        self._is_shown = True

    def end(self) -> None:
        """Take the line away again."""
        if self._is_shown:
            with _guard:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)


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


def wrap(sentence: str, indent: str = "") -> list[str]:
    """A sentence in lines of the terminal's width, 100 at most; `indent`: before further lines."""
    return textwrap.wrap(sentence, min(width(), 100), subsequent_indent=indent)
