"""The one place that knows colours, widths and terminals. stdout is data, stderr narration."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import threading
from collections.abc import Sequence

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


def paint(text: str, colour: str | None, is_terminal: bool) -> str:
    if colour is None or not is_terminal or os.environ.get("NO_COLOR") or is_dumb():
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def is_dumb() -> bool:
    """Whether the terminal knows no colours and can't go back in a line."""
    return os.environ.get("TERM") == "dumb"


def width() -> int:
    return shutil.get_terminal_size((80, 24)).columns


def table(
    rows: Sequence[Sequence[str]], right: Sequence[int] = (), most: int | None = None
) -> list[str]:
    """Aligned lines; `right` are the columns set flush right. No trailing blanks.

    most: the lines' length, where one is wished: first cells too long for it get a line of their
    own.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    if most is not None and sum(widths) + 2 * (len(widths) - 1) > most:
        room = most - sum(widths[1:]) - 2 * (len(widths) - 1)
        rows = [part for row in rows for part in _parts(row, room)]
        widths[0] = max(len(row[0]) for row in rows if len(row) > 1)
    return [
        "  ".join(
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


def quantity(size_bytes: int) -> str:
    """Bytes for people: 812 B, 3.2 KB, 40.2 MB (decimal, as file managers and the SDK's docs)."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    value, unit = size_bytes / 1000, "KB"
    for larger in ("MB", "GB"):
        if value >= 999.5:
            value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}"
