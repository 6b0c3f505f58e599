"""./doit why STEP: exactly what made a step stale."""

from __future__ import annotations

import argparse

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
        chosen = steps_named(arguments.names)
        stale: set[str] = set()
        for step in CURRENT.plan.steps.values():
            reasons = _reasons(step, stale)
            if reasons:
                stale.add(step.name)
            if step.name in chosen:
                _tell(step, reasons)
        return 0


def _reasons(step: Step, stale: set[str]) -> list[str]:
    own = [str(change) for change in CURRENT.builder.why(step)]
    earlier = (before.name for before in CURRENT.plan.before(step))
    return own or [
        f"{name} is stale, and may give other results" for name in earlier if name in stale
    ]


def _tell(step: Step, reasons: list[str]) -> None:
    if not reasons:
        console.tell(f"{step.name}  up to date")
        return
    console.tell(f"{step.name}  stale")
    for reason in reasons:
        console.tell(f"  {reason}")
