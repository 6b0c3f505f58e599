"""./doit why STEP: exactly what made a step stale."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

from pipelines.building import dry_run
from pipelines.building.dry_run import Foreseen
from pipelines.building.project import Project
from pipelines.files import console
from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit.cli import UsageError, steps_named
from pipelines.record.step import Step


class Why(OwnCommand):
    name = "why"
    in_brief = "what made a step stale"
    doc_purpose = "tell exactly what made a step stale (default: every step)"
    doc_usage = "[MODEL|MODEL@TARGET|STEP ...]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="MODEL|MODEL@TARGET|STEP")

    def act(self, arguments: argparse.Namespace) -> int:
        for each in foreseen(self.project, steps_named(self.project, arguments.names)):
            _tell(each)
        return 0


def foreseen(project: Project, chosen: set[str]) -> Iterator[Foreseen]:
    """What a run would do with each chosen step."""
    found = dry_run.make(project.plan, project.builder, project.plan.with_dependencies(chosen))
    yield from (each for name, each in found.steps.items() if name in chosen)


def reasons(project: Project, chosen: set[str]) -> Iterator[tuple[Step, list[str]]]:
    """Each chosen step, and why it is stale; empty where it is up to date."""
    yield from ((each.step, each.reasons) for each in foreseen(project, chosen))


def require_up_to_date(project: Project, chosen: set[str], name: str, told: str = "") -> None:
    """Of the chosen steps. name: what to run where one is stale. told: what then is said to be;
    the first of them where left out. Raises UsageError."""
    if stale := stale_of(project, chosen):
        raise UsageError(f"{told or stale[0]} is not up to date", f"run: ./doit {name}")


def stale_of(project: Project, chosen: set[str]) -> list[str]:
    """Names of the chosen steps that are stale."""
    return [step.name for step, why in reasons(project, chosen) if why]


def makers_of(project: Project, files: Iterable[str]) -> set[str]:
    """Names of all steps that these files hang on."""
    made_by = project.plan.makers()
    return project.plan.with_dependencies({made_by[file].name for file in files if file in made_by})


def _tell(each: Foreseen) -> None:
    name, status = each.step.name, each.status
    if each.is_up_to_date:
        console.tell(f"{name}  up to date")
        for change in status.why:
            console.tell(f"  {change}: the next run puts it there")
        return
    console.tell(f"{name}  stale")
    for reason in each.reasons:
        console.tell(f"  {reason}")
    if not each.may_run:
        console.tell("  it is restored from the cache")
