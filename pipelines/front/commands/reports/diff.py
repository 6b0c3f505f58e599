"""./doit diff A B: two builds side by side, worst first."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pipelines.building.project import Project
from pipelines.files import console
from pipelines.front.commands import one_page
from pipelines.front.commands.building.why import require_up_to_date
from pipelines.front.commands.command import OwnCommand
from pipelines.front.commands.targets import all_named
from pipelines.front.doit.cli import STARTED_IN, UsageError, unknown
from pipelines.report.comparison import revision, text
from pipelines.report.comparison.compare import compare
from pipelines.report.comparison.side import Side, alike, of_file, of_target
from pipelines.stages.stage import built
from quant.fault import Fault


class Diff(OwnCommand):
    name = "diff"
    in_brief = "two builds side by side, worst first"
    doc_purpose = "compare two targets, a target with an earlier commit's, or two .rknn files"
    doc_usage = "A B [--json | --html FILE]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        what = "MODEL@TARGET, COMMIT:MODEL@TARGET or FILE.rknn"
        parser.add_argument("a", metavar="A", help=what)
        parser.add_argument("b", metavar="B", help="the same; worse is what it has more of")
        parser.add_argument("--json", action="store_true", help="as JSON, for programs")
        parser.add_argument("--html", metavar="FILE", help="as a page, one file")

    def act(self, arguments: argparse.Namespace) -> int:
        told = compare(*alike(_side(self.project, arguments.a), _side(self.project, arguments.b)))
        if arguments.html:
            one_page.write(self.project, "diff", told, arguments.html)
        if arguments.json:
            console.tell(json.dumps(told, indent=1))
        elif not arguments.html:
            for line in text.lines(told):
                console.tell(line)
        return 0


def _side(project: Project, word: str) -> Side:
    """What A or B means: a file that is there, else a target. Raises UsageError."""
    path = Path(STARTED_IN, word)
    try:
        if path.is_file():
            return of_file(word, path)
        commit, _, name = word.rpartition(":")
        return _recorded(project, commit, name) if commit else _present(project, name)
    except Fault as fault:
        raise UsageError(f"{word}: {fault.what}", fault.advice) from fault


def _present(project: Project, name: str) -> Side:
    known = all_named(project)
    if name not in known:
        raise unknown("file and no target", name, known, "targets")
    recipe, target = known[name]
    own = {step.name for step in project.plan.of(recipe.model, target.name)}
    require_up_to_date(project, own, name, name)

    def find(below: str) -> Path | None:
        place = project.root / built(recipe, f"{target.name}/{below}")
        return place if place.is_file() else None

    return _whole(name, of_target(name, find))


def _recorded(project: Project, commit: str, name: str) -> Side:
    model, _, target = name.partition("@")
    if not (model and target) or "/" in name:
        raise UsageError(f"`{commit}:{name}` names no target", "write COMMIT:MODEL@TARGET")
    objects = Path(project.builder.store.objects)
    find = revision.files(project.root, objects, commit, model, target)
    return _whole(name, of_target(f"{commit}:{name}", find))


def _whole(name: str, side: Side | None) -> Side:
    if side is None:
        raise UsageError(f"{name} was built and not analyzed", f"run: ./doit {name}")
    return side
