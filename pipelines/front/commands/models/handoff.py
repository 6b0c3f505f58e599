"""./doit handoff MODEL@TARGET: one folder for the programmer of the board."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

from pipelines.backends.rknn import steps
from pipelines.backends.rknn.handoff import page, sheet
from pipelines.backends.table import artifact
from pipelines.building.project import Project
from pipelines.files import console, unfinished
from pipelines.front.commands.aside import run_aside
from pipelines.front.commands.building.why import require_up_to_date
from pipelines.front.commands.command import OwnCommand
from pipelines.front.commands.targets import by_name
from pipelines.front.doit.cli import STARTED_IN, UsageError
from pipelines.recipe.define.model import Recipe, Target
from pipelines.stages.stage import built
from quant.graph.file import parse
from quant.graph.types import input_types, output_types
from quant.rewrites import divided
from quant.rewrites.names import CUTS

_PROGRAMS = ("run_references.cc", "run_references.py")


class Handoff(OwnCommand):
    name = "handoff"
    in_brief = "a folder for the board's programmer"
    doc_purpose = "write a folder for the board's programmer: file, sheet, references, programs"
    doc_usage = "MODEL@TARGET [--output FOLDER]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="MODEL@TARGET")
        parser.add_argument(
            *("-o", "--output"), metavar="FOLDER", help="default: handoff-MODEL-TARGET here"
        )

    def act(self, arguments: argparse.Namespace) -> int:
        recipe, target = by_name(self.project, arguments.name, self.name)
        folder = Path(STARTED_IN, arguments.output or f"handoff-{recipe.model}-{target.name}")
        _require_replaceable(folder)
        _require_up_to_date(self.project, recipe, target)
        if not write(self.project, recipe, target, folder):
            return 1
        console.tell(f"{folder}: HANDOFF.md says how to use it")
        return 0


def write(project: Project, recipe: Recipe, target: Target, folder: Path) -> bool:
    """Make the folder, of a build that is up to date. Returns whether it worked; it tells why."""
    with run_aside(project, steps.handoff_step(recipe, target, project.root)) as out:
        if out is not None:
            _write(project, recipe, target, out, folder)
        return out is not None


def _require_replaceable(folder: Path) -> None:
    """What this command did not make is not written over."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{folder} is no folder", "name another with --output")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "handoff.json").is_file():
        raise UsageError(
            f"{folder} holds other files than a handoff's", "name another with --output"
        )


def _require_up_to_date(project: Project, recipe: Recipe, target: Target) -> None:
    """A sheet of a file that the recipe no longer makes would be a wrong one."""
    name = f"{recipe.model}@{target.name}"
    build = f"{recipe.model}:build@{target.name}"
    require_up_to_date(project, project.plan.with_dependencies({build}), name, build)
    if not (project.root / artifact(recipe, target)).is_file():
        raise UsageError(f"{name} is not here", f"run: ./doit {name}")


def _write(project: Project, recipe: Recipe, target: Target, made: Path, folder: Path) -> None:
    """Beside the folder first, then in its place: a kill leaves no half of it."""
    model = project.root / artifact(recipe, target)
    told = sheet.make(recipe, target, model, made / "references.json")
    with unfinished.folder_in(folder.parent) as place:
        new = place / "new"
        shutil.copytree(made / "references", new / "references")
        shutil.copyfile(model, new / model.name)
        told["tail"], told["divided"] = _tail(project, recipe, target, new)
        for program in _PROGRAMS:
            shutil.copyfile(Path(sheet.__file__).with_name(program), new / program)
        text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
        (new / "handoff.json").write_text(text, encoding="utf-8")
        (new / "HANDOFF.md").write_text(page.text(told), encoding="utf-8")
        if folder.exists():
            os.replace(folder, place / "old")
        os.replace(new, folder)


def _tail(
    project: Project, recipe: Recipe, target: Target, folder: Path
) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]]]:
    """The network behind a cut, copied into the folder; and what it only multiplies again."""
    file = project.root / built(recipe, "simplify/tail.onnx")
    if steps.is_direct(target) or set(CUTS).isdisjoint(recipe.simplify.rewrite):
        return None, {}
    shutil.copyfile(file, folder / "tail.onnx")
    network = parse(file, file.name)
    ends = list(input_types(network)), list(output_types(network))
    told = {"file": "tail.onnx", "inputs": ends[0], "outputs": ends[1]}
    return told, divided.read(network)
