"""./doit runtime MODEL@TARGET: whether the vendor's own runtime takes a file, without a board."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pipelines.backends.rknn.runtime import check
from pipelines.backends.table import artifact
from pipelines.building.project import Project
from pipelines.files import console
from pipelines.front.commands.building.why import makers_of, stale_of
from pipelines.front.commands.command import OwnCommand
from pipelines.front.commands.targets import by_name
from pipelines.front.doit import runtime_parts
from pipelines.front.doit.cli import STARTED_IN, UsageError
from pipelines.report import runtime_text
from quant.report import build_json
from quant.report.build_json import BuildReport


class Runtime(OwnCommand):
    name = "runtime"
    in_brief = "load an .rknn with the vendor's runtime, no board"
    doc_purpose = (
        "load a built .rknn with the vendor's own runtime, under emulation, without a board"
    )
    doc_usage = "MODEL@TARGET|FILE.rknn [--librknnrt FILE] [--json]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="MODEL@TARGET|FILE.rknn")
        parser.add_argument(
            "--librknnrt", metavar="FILE", help="a copy from your board (default: 1.5.2, fetched)"
        )
        parser.add_argument("--json", action="store_true", help="as JSON, for programs")

    def act(self, arguments: argparse.Namespace) -> int:
        model, build = _model(self.project, arguments.name)
        library = Path(STARTED_IN, arguments.librknnrt) if arguments.librknnrt else None
        told = check.check(model, library, runtime_parts.home(self.project.root))
        if arguments.json:
            console.tell(json.dumps(told, indent=1))
        else:
            for line in runtime_text.lines(arguments.name, told, build):
                console.tell(line)
        return 1 if told["verdict"] == "refused" else 0


def _model(project: Project, name: str) -> tuple[Path, BuildReport | None]:
    """The .rknn, and its build.json where it was built here."""
    if name.endswith(".rknn"):
        place = Path(STARTED_IN, name)
        if not place.is_file():
            raise UsageError(f"no file {name}")
        return place, None
    recipe, target = by_name(project, name, Runtime.name)
    model = project.root / artifact(recipe, target)
    if not model.is_file():
        raise UsageError(f"{name} is not built", f"run: ./doit {name}")
    if stale := stale_of(project, makers_of(project, [artifact(recipe, target)])):
        console.say(
            f"{stale[0]} is not up to date: this is of the file as it was built before\n"
            f"  to build it again: ./doit {name}",
            "yellow",
        )
    return model, build_json.read(model.with_name("build.json"))
