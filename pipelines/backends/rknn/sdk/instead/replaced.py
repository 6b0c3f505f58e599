"""Has others stand in for functions of the SDK, and of what it uses, while one of its calls runs.

In this process alone, only where they are there, and only for the versions whose files were
compared with the others and without (tests/test_spared.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

COMPARED = ("2.3.2", "2.5.0")


@cache
def toolkit() -> str:
    """The SDK's version, such as `2.5.0`."""
    return version("rknn-toolkit2")


@contextmanager
def replaced(
    module: str, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Have `make(original)` in place of a module's function, or of a class's in it."""
    owner: Any = sys.modules.get(module)
    *outer, last = name.split(".")
    for part in outer:
        owner = getattr(owner, part, None)
    original = getattr(owner, last, None)
    if original is None or toolkit() not in COMPARED:
        yield
        return
    setattr(owner, last, make(original))
    try:
        yield
    finally:
        setattr(owner, last, original)
