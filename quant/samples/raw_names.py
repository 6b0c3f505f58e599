"""Which files hold plain numbers without a header, by their names; standard library alone."""

from __future__ import annotations

SUFFIXES = (".bin", ".raw", ".yuv")


def is_raw(name: str) -> bool:
    """Whether a file is one by its name, without folders."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
