"""Test files are compiled once: several workers collect all of them, each in the same order.

With pytest's rewriting of their `assert`, that takes five seconds of a worker in a new checkout.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent


def compile_all(folder: Path = _TESTS) -> None:
    """Have those imported that changed, in a process that then ends: pytest's hook writes them."""
    changed = [file for file in sorted(folder.glob("test_*.py")) if not is_compiled(file)]
    if not changed:
        return
    if process := os.fork():
        os.waitpid(process, 0)
        return
    try:
        for file in changed:
            with contextlib.suppress(BaseException):  # whoever collects it tells
                importlib.import_module(f"{folder.name}.{file.stem}")
    finally:
        os._exit(0)


def is_compiled(file: Path) -> bool:
    """Whether what this pytest made of a file is there, of its present time and size."""
    name = f"{file.stem}.{sys.implementation.cache_tag}-pytest-{pytest.__version__}.pyc"
    try:
        with (file.parent / "__pycache__" / name).open("rb") as compiled:
            head = compiled.read(16)  # magic, flags, time, size
    except OSError:
        return False
    told = file.stat()
    present = (int(told.st_mtime), told.st_size)
    return head[8:] == b"".join((part & 0xFFFFFFFF).to_bytes(4, "little") for part in present)
