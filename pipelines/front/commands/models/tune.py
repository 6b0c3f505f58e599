"""./doit tune MODEL: which few layers to compute in float16, held beside the SDK's own choices."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from pipelines.backends.rknn.file.dtypes import FLOAT16, PREQUANTIZED
from pipelines.backends.rknn.recipe.options import options
from pipelines.building.project import Project
from pipelines.doctor.trial import builder_of_trials
from pipelines.doctor.tune import candidates, pareto
from pipelines.doctor.tune.experiment import Experiment, Measured
from pipelines.doctor.tune.tuner import Found, Goal, MetricGoal, tune
from pipelines.files import atomic, console, unfinished
from pipelines.files.where import did_you_mean
from pipelines.front.commands.command import OwnCommand
from pipelines.front.commands.targets import build, find_served
from pipelines.front.doit.cli import UsageError
from pipelines.front.doit.run_lock import RunLock
from pipelines.recipe.define.model import Recipe, Target
from pipelines.run.worker import Failed
from pipelines.stages.stage import built

_MEANINGS = (
    "error, cosine: of the worst output in the SDK's simulator against the float network; the "
    "error is the largest difference by the output's range",
    "float: compiled layers in float16; front: no other row has fewer cycles and less error",
    "measured: accuracy, or what the recipe's own function gave",
    "Mcycles: the SDK's estimate, in which conversions between int8 and float16 cost nothing",
)


class Tune(OwnCommand):
    name = "tune"
    in_brief = "which few layers to compute in float16"
    doc_purpose = "find a small set of float16 layers that makes the outputs good enough"
    doc_usage = (
        "MODEL [--target T] [--max-output-error X | --min-output-cosine X | --max-drop POINTS | "
        "--min-metric NAME=X | --max-metric NAME=X] [--apply]"
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("model", metavar="MODEL", help="or MODEL@TARGET")
        parser.add_argument("--target", metavar="T", help="default: the only one of the SDK")
        goal = parser.add_mutually_exclusive_group()
        goal.add_argument("--max-output-error", type=_share, metavar="X",
                          help="of the worst output, as a share of its range: 0.02")  # fmt: skip
        goal.add_argument("--min-output-cosine", type=_share, metavar="X")
        goal.add_argument("--max-drop", type=float, metavar="POINTS",
                          help="of accuracy in percent, below the float network's")  # fmt: skip
        goal.add_argument("--min-metric", type=_metric, metavar="NAME=X",
                          help="of what the recipe's own function measures")  # fmt: skip
        goal.add_argument("--max-metric", type=_metric, metavar="NAME=X")
        parser.add_argument("--apply", action="store_true", help="write the layers into the recipe")

    def act(self, arguments: argparse.Namespace) -> int:
        goal = _goal(arguments)
        if arguments.apply and not goal.is_given:
            raise UsageError(
                "--apply writes the cheapest layers that are good enough",
                "say what is: --max-output-error 0.02, --min-output-cosine 0.999, --max-drop 1 ...",
            )
        recipe, target = _one(*find_served(self.project, arguments.model, arguments.target, "tune"))
        _require_open(recipe, target, goal)
        code, is_stale = build(self.project, recipe, target)
        if is_stale:
            return code or 1
        with RunLock(self.project.root):
            found = _found(self.project, recipe, target, goal)
        if found is None:
            return 1
        _tell(self.project, recipe, target, found.measured)
        return _tell_best(self.project, recipe, target, found, goal, is_applied=arguments.apply)


def _goal(told: argparse.Namespace) -> Goal:
    named: tuple[str, float] | None = told.min_metric or told.max_metric
    metric = named and MetricGoal(named[0], named[1], is_least=told.min_metric is not None)
    return Goal(told.max_output_error, told.min_output_cosine, told.max_drop, metric)


def _metric(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        limit = float(number)
    except ValueError:
        limit = math.nan
    if not name or not math.isfinite(limit):
        raise argparse.ArgumentTypeError(f"{text}: write NAME=NUMBER, such as wrong=3")
    return name, limit


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _one(recipe: Recipe, targets: Sequence[Target]) -> tuple[Recipe, Target]:
    if len(targets) > 1:
        names = ", ".join(target.name for target in targets)
        raise UsageError(f"{recipe.model} has several targets", f"name one: --target {names}")
    return recipe, targets[0]


def _require_open(recipe: Recipe, target: Target, goal: Goal) -> None:
    """That the target's layers are still to be chosen."""
    name, chosen = f"{recipe.model}@{target.name}", options(target)
    dtype = chosen.quantize.dtype
    if dtype == FLOAT16:
        raise UsageError(f"{name} is float16 as a whole", "tune an int8 target: `dtype: w8a8`")
    if dtype == PREQUANTIZED:
        raise UsageError(f"{name} was quantized before it came here", "tune its float source")
    for key, value in (
        ("build.layers", chosen.build.layers),
        ("build.auto_hybrid", chosen.build.auto_hybrid),
        ("quantize.hybrid", chosen.quantize.hybrid),
    ):
        if value:
            raise UsageError(
                f"`{key}` chooses float layers for {name} already",
                "take it out of the recipe: tune starts from int8 alone",
            )
    if goal.drop_points is not None and (recipe.evaluate is None or recipe.evaluate.function):
        what = "names no `evaluate`" if recipe.evaluate is None else "measures by its own function"
        raise UsageError(f"--max-drop asks for accuracy, and {recipe.model} {what}")
    if goal.metric is not None and (recipe.evaluate is None or not recipe.evaluate.function):
        what = "names no `evaluate`" if recipe.evaluate is None else "measures by none of its own"
        raise UsageError(
            f"`{goal.metric.name}` is a number of one's own function, and {recipe.model} {what}",
            "name one: `evaluate: {inputs: x.npy, labels: y.npy, metric: FILE.py:FUNCTION}`",
        )


def _found(project: Project, recipe: Recipe, target: Target, goal: Goal) -> Found | None:
    builder = builder_of_trials(project.builder)
    experiment = Experiment(project.root, builder, recipe, target)
    try:
        return tune(experiment, candidates.tensors(project.root, recipe, target), goal)
    except Failed as error:
        console.say(f"{recipe.model}@{target.name}: {error}", "red")
        return None


def _tell(project: Project, recipe: Recipe, target: Target, found: Sequence[Measured]) -> None:
    for line in pareto.lines(found):
        console.tell(line)
    console.tell()
    for meaning in _MEANINGS:
        for line in console.wrap(meaning, "  "):
            console.tell(line)
    place = Path(built(recipe, f"trials/tune-{target.name}"))
    title = f"{recipe.model}@{target.name}"
    made = {"csv": pareto.to_csv(found), "svg": pareto.svg(found, title)}
    files = {f"{place.name}.{ending}": text.encode() for ending, text in made.items()}
    unfinished.write(project.root / place.parent, files)
    for ending in made:
        console.say(f"wrote {place}.{ending}")


def _require_measured(name: str, found: Sequence[Measured]) -> None:
    known = dict.fromkeys(metric for one in found for metric in one.metrics)
    if name not in known:
        raise UsageError(
            f"the recipe's function measures no `{name}`", did_you_mean(name, known, "it measures")
        )


def _tell_best(
    project: Project, recipe: Recipe, target: Target, found: Found, goal: Goal, *, is_applied: bool
) -> int:
    if not goal.is_given:
        return 0
    best = found.best(goal)
    if goal.metric is not None:
        _require_measured(goal.metric.name, found.measured)
    if best is None:
        console.tell("\nnothing that was built is good enough: see the table for what is nearest")
        return 1
    lines = best.variant.lines(recipe, target) if best.variant.changes(recipe, target) else []
    if not lines:
        console.tell("\nint8 alone is good enough")
        return 0
    console.tell(f"\nthe fewest cycles that are good enough: {best.variant.name}")
    for line in lines:
        console.tell(f"  {line}")
    if is_applied:
        place = project.root / recipe.file
        with RunLock(project.root):
            text = place.read_text(encoding="utf-8")
            atomic.write(place, best.variant.applied_to(text, recipe, target).encode())
        console.say(f"wrote {recipe.file}; ./doit {recipe.model} takes the build from the cache")
    return 0
