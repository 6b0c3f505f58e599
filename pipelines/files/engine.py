"""Where npumake's own code is, and the project that it serves: its own, or one that pins it.

A repository of one's own keeps the engine that it pins unpacked in `.npumake/engine`.
"""

from __future__ import annotations

import re
from pathlib import Path

CODE = Path(__file__).resolve().parents[2]
PINNED = ".npumake/engine"
IS_PINNED = CODE.parts[-2:] == tuple(PINNED.split("/"))
PROJECT = CODE.parent.parent if IS_PINNED else CODE
# Before the path of a file of the engine's, relative to the project.
PREFIX = f"{PINNED}/" if IS_PINNED else ""
TOOLCHAINS = f"{PREFIX}toolchains"  # their pins


def version() -> str:
    """npumake's own."""
    text = (CODE / "pyproject.toml").read_text(encoding="utf-8")
    told = re.search(r'^version = "(.+)"$', text, re.M)
    assert told is not None, "pyproject.toml has a version"
    return told[1]
