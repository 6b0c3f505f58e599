"""Working folders of steps, in the folder `work` of .npumake: MODEL-STEP-PROCESS-NUMBER."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from pipelines.record.step import Step


def make(root: Path, step: Step) -> Path:
    """A new one, of this process."""
    home = _home(root)
    home.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        folder = home / f"{step.model}-{step.lock_name}-{os.getpid()}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("unreachable")


def abandoned(root: Path) -> Iterator[Path]:
    """What killed runs left: those whose process is gone."""
    for folder in _home(root).glob("*-*-*"):
        process = folder.name.split("-")[-2]
        if process.isdigit() and not is_alive(process):
            yield folder


def is_alive(process: str) -> bool:
    try:
        state = (
            Path("/proc", process, "stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()[0]
        )
    except OSError:
        return False
    return state != "Z"  # dead, and its parent has not asked yet


def _home(root: Path) -> Path:
    return root / ".npumake" / "work"
