"""Fetches what steps of the vendor's runtime need, by the user's pip, before they run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipelines.files import console
from pipelines.record.step import Step
from quant.fault import Fault


def home(root: Path) -> Path:
    return root / ".npumake" / "runtime"


def fetch(root: Path, steps: Iterable[Step]) -> None:
    """What can't be had is told by the step itself, and stops no other."""
    asked = [step for step in steps if step.stage == "runtime"]
    if not asked:
        return
    from pipelines.backends.rknn.runtime import emulator
    from pipelines.backends.rknn.runtime.processor import AARCH64

    if AARCH64.lacking():
        return
    try:
        emulator.prepare(home(root))
        if any("librknnrt.so" not in step.inputs for step in asked):
            emulator.pinned_runtime(home(root))
    except Fault as fault:
        console.say(str(fault), "yellow")
