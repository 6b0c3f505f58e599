"""./doit table [MODEL...]: accuracy by bias mode and input_scale, float beside it."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.building.project import Project
from pipelines.files import console, unfinished
from pipelines.front.commands.command import OwnCommand
from pipelines.front.commands.targets import served
from pipelines.front.doit.cli import STARTED_IN, UsageError, unknown
from pipelines.recipe.define.model import Recipe, Target
from pipelines.report.accuracy_plot import svg
from pipelines.report.accuracy_table import Point, panels, points, text, to_csv

_DEFAULT = "build/table"


class Table(OwnCommand):
    name = "table"
    in_brief = "accuracy of the fixed_point targets"
    doc_purpose = "accuracy of the fixed_point targets by bias mode and input_scale; runs nothing"
    doc_usage = "[MODEL ...] [--output FOLDER]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("models", nargs="*", metavar="MODEL", help="default: all that have any")
        parser.add_argument(
            "--output",
            metavar="FOLDER",
            help=f"where table.csv and table.svg are written (default: {_DEFAULT})",
        )

    def act(self, arguments: argparse.Namespace) -> int:
        found, missing = _collect(self.project, _targets(self.project, arguments.models))
        for name in missing:
            console.say(f"{name} is not analyzed: ./doit {name}", "yellow")
        if not found:
            raise UsageError(
                "no accuracies",
                "a model needs `evaluate`, a target of the backend fixed_point, "
                "and a run of ./doit",
            )
        shown = panels(found)
        for number, panel in enumerate(shown):
            if number:
                console.tell()
            for line in text(panel):
                console.tell(line)
        given = arguments.output
        folder = Path(STARTED_IN, given) if given else self.project.root / _DEFAULT
        try:
            made = {"table.csv": to_csv(found).encode(), "table.svg": svg(shown).encode()}
            unfinished.write(folder, made)
            for name in made:
                console.say(f"wrote {folder / name}")
        except OSError as error:
            what = f"{folder}: {error.strerror}"
            raise UsageError(what, "name a folder that can be written") from error
        return 0


def _targets(project: Project, models: list[str]) -> list[tuple[Recipe, Target]]:
    recipes = project.recipes
    for name in models:
        if name not in recipes:
            raise unknown("model", name, recipes, "models")
    found = served(project, Table.name).values()
    return [(recipe, target) for recipe, target in found if not models or recipe.model in models]


def _collect(
    project: Project, targets: list[tuple[Recipe, Target]]
) -> tuple[list[Point], list[str]]:
    """All points, and the targets that have labelled data but no report."""
    found: list[Point] = []
    missing: list[str] = []
    for recipe, target in targets:
        these = points(project.root, recipe, target)
        if these is None and recipe.evaluate is not None:
            missing.append(f"{recipe.model}@{target.name}")
        found += these or ()
    return found, missing
