"""What became of each step in this run."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.building.builder import Outcome
from pipelines.record.facts import Change


@dataclass(frozen=True)
class Done:
    """elapsed_s: wall time."""

    outcome: Outcome
    why: tuple[Change, ...]
    elapsed_s: float


DONE: dict[str, Done] = {}
UNDONE: dict[str, str] = {}  # step that ran to no end -> failed, interrupted or ignored
