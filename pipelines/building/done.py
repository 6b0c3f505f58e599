"""What became of each step in a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.building.builder import Outcome
from pipelines.building.schedule import Turns
from pipelines.building.status import Status
from pipelines.record.facts import Change


@dataclass(frozen=True)
class Done:
    """elapsed_s: wall time."""

    outcome: Outcome
    why: tuple[Change, ...]
    elapsed_s: float


@dataclass(frozen=True)
class Ended:
    """A run that has ended. has_errors: of something else than a step's own failure."""

    interrupted: list[str]
    has_gate_failures: bool
    has_errors: bool


@dataclass
class Invocation:
    """One command line, and what became of each step. A command of ours may start runs itself.

    asked: the arguments of the present run. settled: what was found of the steps whose turn changes
    nothing; None where no run goes on. turns: how the others take turns. undone: step that ran to
    no end -> failed, interrupted or ignored. left_out: models that were asked for, and whose
    recipes are wrong. runs: in order.
    """

    asked: list[str] = field(default_factory=list)
    settled: Mapping[str, Status] | None = None
    turns: Turns | None = None
    done: dict[str, Done] = field(default_factory=dict)
    undone: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    runs: list[Ended] = field(default_factory=list)
