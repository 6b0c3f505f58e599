"""One row a model and target: what ran, bytes in and out, worst layer, time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipelines import console, terminal
from pipelines.backends.table import BACKENDS
from pipelines.builder import Outcome
from pipelines.done import Done
from pipelines.project import Project
from pipelines.recipe.model import Recipe, Target
from pipelines.report import summary

_HEAD = ("model@target", "steps", "onnx", "artifact", "ratio", "cosine", "cpu", "float", "time")
_NOTE = "steps: run/restored/up to date; cosine: worst layer; cpu, float: layers"


def lines(project: Project, selected: Sequence[str], done: Mapping[str, Done]) -> list[str]:
    """The table's lines for the selected steps' models and targets; none where none was built."""
    rows: list[Sequence[str]] = [_HEAD]
    accuracies = []
    is_swept = False
    for recipe, target in _targets(project, selected):
        found = summary.read(project.root, recipe, target)
        rows.append(_row(project, recipe, target, found, done))
        if found is None or found.accuracy is None or found.accuracy_float is None:
            continue
        if target.family != target.name:
            is_swept = True
        else:
            accuracies.append(
                f"{recipe.model}@{target.name}: accuracy {found.accuracy_float:.2%} in float, "
                f"{found.accuracy:.2%} in {BACKENDS[target.backend].in_words}"
            )
    if len(rows) == 1:
        return []
    if is_swept:
        accuracies.append("accuracies of sweeps: ./doit table")
    table = console.table(rows, right=range(1, len(_HEAD)), most=terminal.data_width())
    return [*table, *accuracies, _NOTE]


def _targets(project: Project, selected: Sequence[str]) -> Iterator[tuple[Recipe, Target]]:
    """Targets any of whose own steps is selected."""
    chosen = set(selected)
    for recipe, target in project.plan.targets():
        if any(step.name in chosen for step in project.plan.of(recipe.model, target.name)):
            yield recipe, target


def _row(
    project: Project,
    recipe: Recipe,
    target: Target,
    found: summary.Summary | None,
    done: Mapping[str, Done],
) -> Sequence[str]:
    own = (None, target.family, target.name)
    steps = [step for step in project.plan.of(recipe.model) if step.target in own]
    outcomes = [done[step.name].outcome for step in steps if step.name in done]
    ran = outcomes.count(Outcome.RAN)
    restored = outcomes.count(Outcome.RESTORED)
    elapsed_s = sum(done[step.name].elapsed_s for step in steps if step.name in done)
    counts = f"{ran}/{restored}/{outcomes.count(Outcome.UP_TO_DATE)}"
    name = f"{recipe.model}@{target.name}"
    if found is None:
        return (name, counts, "not built", *[""] * 6)
    return (
        name,
        counts,
        console.quantity(found.onnx_bytes),
        console.quantity(found.artifact_bytes),
        f"{found.size_ratio:.2f}",
        "NaN" if found.worst_cosine is None else f"{found.worst_cosine:.4f}",
        "" if found.cpu_layers is None else str(found.cpu_layers),
        str(found.float_layers),
        f"{elapsed_s:.1f} s",
    )
