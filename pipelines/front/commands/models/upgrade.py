"""./doit upgrade: the registry with other toolkits or platforms; who gains, loses, breaks."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pipelines.backends.table import BACKENDS, serving
from pipelines.building.project import Project
from pipelines.doctor import upgrade
from pipelines.doctor.trial import Result, builder_of_trials
from pipelines.doctor.upgrade import Cell, Choice, Oracle, Row
from pipelines.files import console
from pipelines.front.commands import one_page
from pipelines.front.commands.accuracy_table import share
from pipelines.front.commands.command import OwnCommand
from pipelines.front.doit import on_cluster
from pipelines.front.doit.cli import UsageError, dispatch, steps_at_once, unknown
from pipelines.front.doit.run_lock import RunLock
from pipelines.recipe.define.model import Recipe, Target
from pipelines.recipe.kinds import scalars
from pipelines.run.toolchain.toolchain import Environments

_HEAD = ("target, with", "artifact", "Mcycles", "error", "")
_MEANINGS = (
    "error: of the worst output, simulator against onnxruntime: the mean over its channels of the "
    "largest difference by the channel's own range; Mcycles: the SDK's estimate",
    f"gains, loses: by more than {upgrade.ERROR:.1%} of error, {upgrade.BYTES:.1%} of bytes or "
    f"{upgrade.CYCLES:.0%} of cycles; mixed: both; beside the target's own toolchain, or the first",
)


class Upgrade(OwnCommand):
    name = "upgrade"
    in_brief = "other toolkits for all models: who gains, who breaks"
    doc_purpose = "build with other toolkits or platforms, aside, and tell who gains and who breaks"
    doc_usage = "[MODEL ...] --toolchain T ... [--platform P ...] [--json] [--html FILE]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("models", metavar="MODEL", nargs="*", help="default: all of them")
        parser.add_argument(
            "--toolchain",
            metavar="T",
            action="append",
            required=True,
            help="such as rknn-2.5.0; may be repeated",
        )
        parser.add_argument(
            "--platform",
            metavar="P",
            action="append",
            default=[],
            help="in place of each target's own; may be repeated",
        )
        parser.add_argument("--json", action="store_true", help="as JSON, for programs")
        parser.add_argument("--html", metavar="FILE", help="also as a page, one file")

    def act(self, arguments: argparse.Namespace) -> int:
        names = list(dict.fromkeys(arguments.toolchain))
        _require(names, _known("toolchain"), "toolchain", "toolchains")
        _require(arguments.platform, _known("platform"), "platform", "platforms")
        recipes = _recipes(self.project, arguments.models)
        chosen = upgrade.choices(names, list(dict.fromkeys(arguments.platform)))
        wanted = [
            (recipe, target)
            for recipe in recipes
            for target in upgrade.targets_of(recipe, arguments.platform)
        ]
        if not wanted:
            able = " or ".join(serving(self.name))
            what = f"none of these has a target of the backend {able}"
            raise UsageError(what, "name another model")
        if on_cluster.of(self.project) is None:
            Environments(self.project.root).make(names)
        dispatch(
            self.project, [f"{name}:export" for name in dict.fromkeys(r.model for r, _ in wanted)]
        )
        with RunLock(self.project.root):
            rows = _build(self.project, wanted, chosen)
        return _told(self.project, rows, arguments)


def _known(key: str) -> list[str]:
    """What a target may write there, of the backends that this serves."""
    kinds = [BACKENDS[name].keys.keys[key].kind for name in serving(Upgrade.name)]
    return [value for kind in kinds if isinstance(kind, scalars.Choice) for value in kind.values]


def _require(given: Sequence[str], known: Sequence[str], one: str, all_of_them: str) -> None:
    for name in given:
        if name not in known:
            raise unknown(one, name, known, all_of_them)


def _recipes(project: Project, models: Sequence[str]) -> list[Recipe]:
    recipes = project.recipes
    _require(models, [*recipes], "model", "models")
    return [recipes[name] for name in dict.fromkeys(models or recipes)]


def _build(
    project: Project, wanted: Sequence[tuple[Recipe, Target]], chosen: Sequence[list[Choice]]
) -> list[Row]:
    """Every target with every choice, side by side."""
    builder = builder_of_trials(project.builder)
    oracle = Oracle(project.root, builder, partial(_is_built, project), _tell_progress)
    with ThreadPoolExecutor(steps_at_once(project)) as pool:
        running = [
            (recipe, target, [pool.submit(oracle.cell, recipe, target, one) for one in alike])
            for recipe, target in wanted
            for alike in chosen
        ]
        return [
            upgrade.judged(
                f"{recipe.model}@{target.name}",
                [each.result() for each in cells],
                target.toolchain,
            )
            for recipe, target, cells in running
        ]


def _is_built(project: Project, recipe: Recipe, target: Target) -> bool:
    steps = project.plan.of(recipe.model, target.name)
    return all(project.builder.is_up_to_date(step) for step in steps)


def _tell_progress(name: str, choice: Choice, result: Result) -> None:
    what = "failed" if result.failure else console.quantity(result.artifact_bytes)
    console.say(f"  built {what:>8}  {name} with {choice.name}")


def _told(project: Project, rows: Sequence[Row], arguments: argparse.Namespace) -> int:
    if arguments.html:
        data = {"rows": upgrade.as_data(rows), "meanings": _MEANINGS}
        one_page.write(project, "upgrade", data, arguments.html)
    if arguments.json:
        console.tell(json.dumps(upgrade.as_data(rows), indent=1))
    else:
        for line in lines(rows):
            console.tell(line)
    return 0


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """A line a build, what fails and cures it, and how many of each verdict."""
    made: list[Sequence[str]] = [_HEAD]
    for row in rows:
        made.append((row.name, *[""] * (len(_HEAD) - 1)))
        made += [(f"  {cell.choice.name}", *_figures(cell)) for cell in row.cells]
    yield from console.table(made, right=range(1, 4))
    yield ""
    for meaning in _MEANINGS:
        yield from console.wrap(meaning, "  ")
    for row in rows:
        for cell in row.cells:
            yield from _failure(row, cell)
    counted = Counter(cell.verdict for row in rows for cell in row.cells if cell.verdict)
    if counted:
        yield ""
        yield ", ".join(f"{count} {verdict}" for verdict, count in counted.most_common())


def _figures(cell: Cell) -> tuple[str, str, str, str]:
    result = cell.result
    if result.failure:
        return "-", "-", "-", cell.verdict or "fails"
    cycles = "?" if result.cycles is None else f"{result.cycles / 1e6:.2f}"
    return console.quantity(result.artifact_bytes), cycles, share(result.error), cell.verdict


def _failure(row: Row, cell: Cell) -> Iterator[str]:
    if not cell.result.failure:
        return
    yield ""
    yield from console.wrap(f"{row.name} with {cell.choice.name}: {cell.result.failure}", "  ")
    if cell.cure is None:
        yield "  nothing that was tried makes it build"
        return
    size, error = console.quantity(cell.cure.artifact_bytes), share(cell.cure.error)
    yield from console.wrap(
        f"builds with {cell.cure.remedy.name}: {size}, error {error}; in the recipe:", "  "
    )
    yield from (f"    {line}" for line in cell.lines)
