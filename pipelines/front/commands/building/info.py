"""./doit info NAME: what a step is, reads and makes, and whether it is up to date."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from pipelines.building.project import Project
from pipelines.files import console
from pipelines.front.commands.building.why import reasons
from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit.cli import steps_named
from pipelines.record.step import Step


class Info(OwnCommand):
    name = "info"
    in_brief = "what a step is, reads and makes"
    doc_purpose = "tell what steps are, read and make, and whether they are up to date"
    doc_usage = "MODEL|MODEL@TARGET|STEP ..."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", nargs="+", metavar="MODEL|MODEL@TARGET|STEP")

    def act(self, arguments: argparse.Namespace) -> int:
        for number, (step, why) in enumerate(
            reasons(self.project, steps_named(self.project, arguments.names))
        ):
            if number:
                console.tell()
            _tell(self.project, step, why)
        return 0


def _tell(project: Project, step: Step, why: list[str]) -> None:
    console.tell(step.name)
    state = ["stale", *(f"  {reason}" for reason in why)] if why else ["up to date"]
    _section("state", state)
    _section("runs in", step.toolchains)
    _section("reads", step.dependencies)
    _section("of the recipe", sorted(step.sections))
    _section("makes", (_made(project, path) for path in sorted(step.outputs.values())))
    log = project.builder.log_of(step)
    _section("log", [log.relative_to(project.root).as_posix()] if log.is_file() else ["none yet"])


def _section(name: str, lines: Iterable[str]) -> None:
    for number, line in enumerate(lines):
        console.tell(f"  {'' if number else name:<14}{line}")


def _made(project: Project, path: str) -> str:
    return path if (project.root / path).exists() else f"{path} (not there)"
