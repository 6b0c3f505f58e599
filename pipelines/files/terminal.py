"""The terminal that data goes to. Standard library only, and little of it: the seal asks too."""

from __future__ import annotations

import os


def data_width() -> int | None:
    """Columns of the terminal on stdout; None where data goes to a file or a program, or where
    the terminal does not say: a pipe's, a serial line's and some CI's have 0."""
    if not os.isatty(1):
        return None
    try:
        return told_width() or os.get_terminal_size(1).columns or None
    except OSError:
        return None


def told_width() -> int:
    """Columns that the environment asks for, 0 where it does not."""
    told = os.environ.get("COLUMNS", "")
    return int(told) if told.isdecimal() else 0
