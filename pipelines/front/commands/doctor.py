"""./doit doctor MODEL: where the bytes of the build are, what makes it smaller, what to write."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pipelines import atomic, console
from pipelines.doctor import clinic, explanation
from pipelines.doctor.clinic import Clinic
from pipelines.doctor.patterns import applicable
from pipelines.doctor.trial import Result, builder_of_trials
from pipelines.front.cli import UsageError, dispatch, jobs_at_once
from pipelines.front.commands.command import OwnCommand
from pipelines.front.run_lock import RunLock
from pipelines.project import CURRENT
from pipelines.recipe.model import Recipe, Target
from pipelines.where import did_you_mean

_HEAD = ("artifact", "ratio", "Mcycles", "layer", "output", "exact", "remedy")
_NOTE = "layer, output: lowest cosine; exact: yes, or the float outputs' largest relative change"


class Doctor(OwnCommand):
    name = "doctor"
    doc_purpose = "explain where a build's bytes are, and try what makes it smaller"
    doc_usage = "MODEL [--target T] [--apply]"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("model", metavar="MODEL", help="or MODEL@TARGET")
        parser.add_argument("--target", metavar="T", help="default: each target of the model")
        parser.add_argument(
            "--apply", action="store_true", help="write the best exact remedy into the recipe"
        )

    def act(self, arguments: argparse.Namespace) -> int:
        recipe, targets = _find(arguments.model, arguments.target)
        for target in targets:
            code = dispatch([f"{recipe.model}@{target.name}"])
            if CURRENT.builder.why(list(CURRENT.plan.of(recipe.model, target.name))[-1]):
                return code or 1
            with RunLock(CURRENT.root):
                _examine(recipe, target, arguments.apply)
        return 0


def _find(name: str, target: str | None) -> tuple[Recipe, list[Target]]:
    model, _, named = name.partition("@")
    recipes = CURRENT.recipes
    if model not in recipes:
        raise UsageError(f"no model `{model}`\n  {did_you_mean(model, recipes, 'models')}")
    recipe, wanted = recipes[model], target or named
    if wanted and wanted not in recipe.targets:
        advice = did_you_mean(wanted, recipe.targets, "targets")
        raise UsageError(f"{model} has no target `{wanted}`\n  {advice}")
    return recipe, [recipe.targets[wanted]] if wanted else list(recipe.targets.values())


def _examine(recipe: Recipe, target: Target, is_applied: bool) -> None:
    for line in explanation.lines(CURRENT.root, recipe, target):
        console.tell(line)
    console.tell()
    found = applicable(CURRENT.root, recipe)
    trials = Clinic(
        CURRENT.root, builder_of_trials(CURRENT.builder), jobs_at_once(), _tell_progress
    )
    results = trials.try_all(recipe, target, found)
    for line in _table(results, found.cuts):
        console.tell(line)
    console.tell(_NOTE)
    best = clinic.best(results, found.cuts)
    if best is None:
        console.tell("nothing that was tried makes the file smaller without changing it")
        return
    console.tell(f"\nbest: {best.remedy.name}; in {recipe.file}:")
    for line in best.remedy.lines(recipe, target):
        console.tell(f"  {line}")
    if is_applied:
        place = CURRENT.root / recipe.file
        text = best.remedy.applied_to(place.read_text(), recipe, target)
        atomic.write(place, text.encode())
        console.say(f"wrote {recipe.file}; ./doit {recipe.model} builds it")


def _tell_progress(result: Result) -> None:
    what = result.failure or console.quantity(result.artifact_bytes)
    console.say(f"  tried {result.remedy.name:<48} {what}")


def _table(results: Sequence[Result], cuts: Sequence[str]) -> list[str]:
    rows: list[Sequence[str]] = [_HEAD]
    for result in sorted(results, key=lambda r: (bool(r.failure), r.artifact_bytes)):
        is_cut = bool(set(result.remedy.rewrites) & set(cuts))
        rows.append(_failed(result) if result.failure else _row(result, results[0], is_cut))
    return console.table(rows, right=range(len(_HEAD) - 1))


def _failed(result: Result) -> Sequence[str]:
    return ("failed", *[""] * 5, f"{result.remedy.name}: {result.failure}")


def _row(result: Result, as_it_is: Result, is_cut: bool) -> Sequence[str]:
    exact = "yes" if result.difference <= as_it_is.difference else f"{result.difference:.0e}"
    return (
        console.quantity(result.artifact_bytes),
        f"{result.size_ratio:.2f}",
        f"{result.cycles / 1e6:.2f}",
        _cosine(result.worst_cosine),
        _cosine(result.worst_output_cosine),
        "cut" if is_cut else exact,
        result.remedy.name,
    )


def _cosine(value: float | None) -> str:
    return "NaN" if value is None else f"{value:.5f}"
