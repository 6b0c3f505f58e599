"""One row a model and target, a sweep's in one: what ran, bytes in and out, worst layer, time."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from pipelines import console, terminal
from pipelines.backends.table import BACKENDS
from pipelines.builder import Outcome
from pipelines.done import Done
from pipelines.project import Project
from pipelines.recipe.model import Recipe, Target
from pipelines.report import summary
from pipelines.report.summary import Summary

_WIDTH = 80  # where the terminal does not say
_HEAD = ("model@target", "steps", "onnx", "artifact", "ratio", "cosine", "cpu", "float", "time")
_NOTE = "steps: run/restored/up to date; cosine: worst layer; cpu, float: layers"
_SWEPT = "(N): a sweep of N targets, its largest artifact and worst cosine; ./doit table"
_BASELINE = "bad on purpose, for comparison:"


def lines(project: Project, selected: Sequence[str], done: Mapping[str, Done]) -> list[str]:
    """The table's lines for the selected steps' models and targets; none where none was built."""
    groups = list(_groups(project, selected))
    if not groups:
        return []
    most = terminal.data_width() or _WIDTH
    rows = [_HEAD, *(_row(project, recipe, targets, done) for recipe, targets in groups)]
    notes = [line for recipe, targets in groups for line in _accuracy(project, recipe, targets)]
    notes += _simplified(project, groups)
    if any(len(targets) > 1 for _, targets in groups):
        notes.append(_SWEPT)
    if baselines := [_name(r, targets) for r, targets in groups if targets[0].is_baseline]:
        notes.append(f"{_BASELINE} {', '.join(baselines)}")
    table = console.table(rows, right=range(1, len(_HEAD)), most=most)
    return [*table, *(part for note in (*notes, _NOTE) for part in _wrapped(note, most))]


def _simplified(
    project: Project, groups: Sequence[tuple[Recipe, Sequence[Target]]]
) -> Iterator[str]:
    """What simplify did by itself, a line each."""
    for recipe in {recipe.model: recipe for recipe, _ in groups}.values():
        for note in summary.notes(project.root, recipe):
            yield f"{recipe.model}: {note}"


def _wrapped(note: str, most: int) -> list[str]:
    width = max(most, 20)
    return textwrap.wrap(note, width, subsequent_indent="  ", break_on_hyphens=False)


def _groups(project: Project, selected: Sequence[str]) -> Iterator[tuple[Recipe, list[Target]]]:
    """Targets any of whose own steps is selected; those of one sweep together."""
    chosen = set(selected)
    groups: dict[tuple[str, str], tuple[Recipe, list[Target]]] = {}
    for recipe, target in project.plan.targets():
        if any(step.name in chosen for step in project.plan.of(recipe.model, target.name)):
            key = (recipe.model, target.family)
            groups.setdefault(key, (recipe, []))[1].append(target)
    yield from groups.values()


def _name(recipe: Recipe, targets: Sequence[Target]) -> str:
    name = targets[0].name if len(targets) == 1 else targets[0].family
    return f"{recipe.model}@{name}"


def _accuracy(project: Project, recipe: Recipe, targets: Sequence[Target]) -> Iterator[str]:
    """Of a target that is no sweep, and has labelled data."""
    found = summary.read(project.root, recipe, targets[0])
    if len(targets) > 1 or found is None:
        return
    if found.accuracy is not None and found.accuracy_float is not None:
        words = BACKENDS[targets[0].backend].in_words
        name = _name(recipe, targets)
        yield (
            f"{name}: accuracy {found.accuracy_float:.2%} in float, {found.accuracy:.2%} in {words}"
        )


def _row(
    project: Project, recipe: Recipe, targets: Sequence[Target], done: Mapping[str, Done]
) -> Sequence[str]:
    own = {None, *(name for target in targets for name in (target.family, target.name))}
    steps = [step for step in project.plan.of(recipe.model) if step.target in own]
    ended = [done[step.name] for step in steps if step.name in done]
    outcomes = [each.outcome for each in ended]
    ran, restored = outcomes.count(Outcome.RAN), outcomes.count(Outcome.RESTORED)
    counts = f"{ran}/{restored}/{outcomes.count(Outcome.UP_TO_DATE)}"
    read = (summary.read(project.root, recipe, target) for target in targets)
    found = [each for each in read if each is not None]
    name = _name(recipe, targets)
    if len(targets) > 1:
        name += f" ({len(targets)})" if len(found) == len(targets) else f" ({len(found)} built)"
    if not found:
        return (name, counts, "not built", *[""] * 6)
    return (name, counts, *_figures(found), f"{sum(each.elapsed_s for each in ended):.1f} s")


def _figures(found: Sequence[Summary]) -> Iterator[str]:
    """Of one target, or the largest and worst of several."""
    largest = max(found, key=lambda each: each.artifact_bytes)
    yield console.quantity(largest.onnx_bytes)
    yield console.quantity(largest.artifact_bytes)
    yield f"{largest.size_ratio:.2f}"
    measured = [each.worst_cosine for each in found if each.worst_cosine is not None]
    yield f"{min(measured):.4f}" if len(measured) == len(found) else "NaN"
    cpu = [each.cpu_layers for each in found if each.cpu_layers is not None]
    yield str(max(cpu)) if cpu else ""
    yield str(max(each.float_layers for each in found))
