"""./doit why STEP: exactly what made a step stale."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pipelines import console
from pipelines.front.cli import steps_named
from pipelines.front.commands.command import OwnCommand
from pipelines.project import CURRENT
from pipelines.step import Step


class Why(OwnCommand):
    name = "why"
    doc_purpose = "tell exactly what made a step stale (default: every step)"
    doc_usage = "[MODEL|MODEL@TARGET|STEP ...]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="MODEL|MODEL@TARGET|STEP")

    def act(self, arguments: argparse.Namespace) -> int:
        for step, found in reasons(steps_named(arguments.names)):
            _tell(step, found)
        return 0


def reasons(chosen: set[str]) -> Iterator[tuple[Step, list[str]]]:
    """Each chosen step, and why it is stale; empty where it is up to date."""
    stale: set[str] = set()
    for step in CURRENT.plan.steps.values():
        found = _reasons(step, stale)
        if found:
            stale.add(step.name)
        if step.name in chosen:
            yield step, found


def _reasons(step: Step, stale: set[str]) -> list[str]:
    own = [str(change) for change in CURRENT.builder.why(step)]
    earlier = (before.name for before in CURRENT.plan.before(step))
    return own or [
        f"{name} is stale, and may give other results" for name in earlier if name in stale
    ]


def _tell(step: Step, found: list[str]) -> None:
    if not found:
        console.tell(f"{step.name}  up to date")
        return
    console.tell(f"{step.name}  stale")
    for reason in found:
        console.tell(f"  {reason}")
