"""One row a model and target, a sweep's in one: what ran, bytes in and out, worst layer, time."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pipelines.backends.table import BACKENDS, artifact
from pipelines.building.builder import Outcome
from pipelines.building.done import Done
from pipelines.building.project import Project
from pipelines.files import console, terminal
from pipelines.recipe.define.model import Recipe, Target
from pipelines.report import summary
from pipelines.report.summary import Summary
from pipelines.stages.stage import built

_WIDTH = 80  # where the terminal does not say
HEAD = (
    "model@target",
    "steps",
    "onnx",
    "artifact",
    "ratio",
    "output",
    "layer",
    "cpu",
    "float",
    "time",
)
NOTE = "steps: run/restored/up to date; output: error; layer: cosine; cpu, float: layers"
_SWEPT = "(N): a sweep of N targets, its largest artifact and worst figures; ./doit table"
_BASELINE = "bad on purpose, for comparison:"


_LAST = "analyze"  # the stage that makes no artifact


@dataclass(frozen=True)
class Run:
    """selected: names of steps. done: of those with a result. undone: why others have none."""

    selected: Sequence[str]
    done: Mapping[str, Done]
    undone: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def chosen(self) -> frozenset[str]:
        return frozenset(self.selected)


@dataclass(frozen=True)
class Trouble:
    """The first step of a target without a result of this run, and what became of it."""

    stage: str
    what: str

    @property
    def is_built(self) -> bool:
        return self.stage == _LAST

    def __str__(self) -> str:
        return f"{self.stage} {self.what}"


@dataclass(frozen=True)
class Told:
    """What the report says of one model: plain data, which is kept between runs.

    rows: cells of the table. copied: lines that are not wrapped. accuracy, simplified: notes.
    """

    rows: Sequence[Sequence[str]]
    copied: Sequence[str]
    accuracy: Sequence[str]
    simplified: Sequence[str]
    baselines: Sequence[str]
    is_swept: bool


def lines(told: Mapping[str, Told]) -> list[str]:
    """The report's lines. told: by model; none where there are none."""
    models = [told[name] for name in sorted(told)]
    if not models:
        return []
    most = terminal.data_width()
    notes = [line for each in models for line in each.accuracy]
    notes += [line for each in models for line in each.simplified]
    if any(each.is_swept for each in models):
        notes.append(_SWEPT)
    if baselines := [name for each in models for name in each.baselines]:
        notes.append(f"{_BASELINE} {', '.join(baselines)}")
    rows = [HEAD, *(row for each in models for row in each.rows)]
    table = console.table(rows, right=range(1, len(HEAD)), most=most)
    wrapped = (part for note in (*notes, NOTE) for part in _wrapped(note, most or _WIDTH))
    return [*table, *(line for each in models for line in each.copied), *wrapped]


def tell(project: Project, run: Run) -> dict[str, Told]:
    """What there is to say of each model that a selected step is of.

    A target with a step that has no result in this run shows that, and no numbers of an earlier
    build.
    """
    by_model: dict[str, list[tuple[Recipe, list[Target]]]] = {}
    for recipe, targets in _groups(project, run):
        by_model.setdefault(recipe.model, []).append((recipe, targets))
    return {model: _model(project, groups, run) for model, groups in by_model.items()}


def _model(project: Project, groups: Sequence[tuple[Recipe, list[Target]]], run: Run) -> Told:
    recipe = groups[0][0]
    return Told(
        [_row(project, r, targets, run) for r, targets in groups],
        [line for r, targets in groups for line in _copied(project, r, targets, run)],
        [line for r, targets in groups for line in _accuracy(project, r, targets, run)],
        [f"{recipe.model}: {note}" for note in summary.notes(project.root, recipe)],
        [_name(r, targets) for r, targets in groups if targets[0].is_baseline],
        any(len(targets) > 1 for _, targets in groups),
    )


def trouble(project: Project, recipe: Recipe, target: Target, run: Run) -> Trouble | None:
    """Why the target's recorded reports are not of what is there now; None where they are."""
    own = (None, target.family, target.name)
    steps = [step for step in project.plan.of(recipe.model) if step.target in own]
    chosen = run.chosen
    for step in steps:
        if step.name in chosen and step.name not in run.done:
            return Trouble(step.stage, run.undone.get(step.name, "not reached"))
    if steps[-1].name not in chosen and not project.builder.is_up_to_date(steps[-1]):
        return Trouble(steps[-1].stage, "not asked for")
    return None


def is_whole(project: Project, run: Run) -> bool:
    """Whether no row tells of trouble."""
    return not any(
        trouble(project, recipe, target, run)
        for recipe, targets in _groups(project, run)
        for target in targets
    )


def _copied(project: Project, recipe: Recipe, targets: Sequence[Target], run: Run) -> Iterator[str]:
    """What a backend says of a target that is built, and of a sweep what has no result."""
    for target in targets:
        found = trouble(project, recipe, target, run)
        if found and len(targets) > 1:
            yield f"{recipe.model}@{target.name}: {found}"
        if found is None or found.is_built:
            folder = project.root / built(recipe, target.name)
            notes = BACKENDS[target.backend].notes(folder, target.name)
            yield from (f"{recipe.model}@{target.name}: {line}" for line in notes)


def _wrapped(note: str, most: int) -> list[str]:
    width = max(most, 20)
    return textwrap.wrap(note, width, subsequent_indent="  ", break_on_hyphens=False)


def _groups(project: Project, run: Run) -> Iterator[tuple[Recipe, list[Target]]]:
    """Targets any of whose own steps is selected; those of one sweep together."""
    groups: dict[tuple[str, str], tuple[Recipe, list[Target]]] = {}
    for recipe, target in project.plan.targets():
        if any(step.name in run.chosen for step in project.plan.of(recipe.model, target.name)):
            key = (recipe.model, target.family)
            groups.setdefault(key, (recipe, []))[1].append(target)
    yield from groups.values()


def _name(recipe: Recipe, targets: Sequence[Target]) -> str:
    name = targets[0].name if len(targets) == 1 else targets[0].family
    return f"{recipe.model}@{name}"


def _accuracy(
    project: Project, recipe: Recipe, targets: Sequence[Target], run: Run
) -> Iterator[str]:
    """Of a target that is no sweep, and has labelled data."""
    if len(targets) > 1 or trouble(project, recipe, targets[0], run):
        return
    found = summary.read(project.root, recipe, targets[0])
    if found is None:
        return
    if found.accuracy is not None and found.accuracy_float is not None:
        words = BACKENDS[targets[0].backend].in_words
        name = _name(recipe, targets)
        yield (
            f"{name}: accuracy {found.accuracy_float:.2%} in float, {found.accuracy:.2%} in {words}"
        )
    backend = BACKENDS[targets[0].backend]
    for metric, by in found.evaluation.items():
        told = {"float": "float", backend.runs: backend.in_words}
        values = ", ".join(f"{by[key]:.6g} in {word}" for key, word in told.items() if key in by)
        yield f"{_name(recipe, targets)}: {metric} {values}"


def _row(project: Project, recipe: Recipe, targets: Sequence[Target], run: Run) -> Sequence[str]:
    own = {None, *(name for target in targets for name in (target.family, target.name))}
    steps = [step for step in project.plan.of(recipe.model) if step.target in own]
    ended = [run.done[step.name] for step in steps if step.name in run.done]
    time = _seconds(sum(each.elapsed_s for each in ended))
    troubles = [trouble(project, recipe, target, run) for target in targets]
    whole = [target for target, found in zip(targets, troubles, strict=True) if not found]
    read = (summary.read(project.root, recipe, target) for target in whole)
    found = [each for each in read if each is not None]
    name = _name(recipe, targets)
    if len(targets) > 1:
        name += f" ({len(targets)})" if len(found) == len(targets) else f" ({len(found)} built)"
    start = (name, _counts(ended))
    if found:
        return (*start, *_figures(found), time)
    first = next((each for each in troubles if each), None)
    if first is None:
        return (*start, "not built", *[""] * 7)
    sizes = _sizes(project, recipe, targets[0]) if first.is_built else None
    if sizes is None:
        return (*start, f"{first.what}:", first.stage, *[""] * 5, time)
    return (*start, *sizes, first.what, "", "", "", time)


def _seconds(elapsed_s: float) -> str:
    return f"{elapsed_s:.1f} s" if elapsed_s < 99.95 else f"{elapsed_s:.0f} s"


def _counts(ended: Sequence[Done]) -> str:
    outcomes = [each.outcome for each in ended]
    kinds = (Outcome.RAN, Outcome.RESTORED, Outcome.UP_TO_DATE)
    return "/".join(str(outcomes.count(kind)) for kind in kinds)


def _sizes(project: Project, recipe: Recipe, target: Target) -> tuple[str, str, str] | None:
    """Bytes of the exported network and of the artifact, and their ratio, from the files."""
    places = (built(recipe, "export/model.onnx"), artifact(recipe, target))
    network, made = (project.root / place for place in places)
    if not made.is_file():
        return None
    after = made.stat().st_size
    if not network.is_file():
        return "", console.quantity(after), ""
    before = network.stat().st_size
    return console.quantity(before), console.quantity(after), f"{after / before:.2f}"


def _worst(
    figures: Sequence[float | None], worst: Callable[[Sequence[float]], float], form: str
) -> str:
    """`-` where nothing was compared, as of a network that was quantized before."""
    finite = [one for one in figures if one is not None]
    if not figures:
        return "-"
    return f"{worst(finite):{form}}" if len(finite) == len(figures) else "NaN"


def _figures(found: Sequence[Summary]) -> Iterator[str]:
    """Of one target, or the largest and worst of several."""
    largest = max(found, key=lambda each: each.artifact_bytes)
    yield console.quantity(largest.onnx_bytes)
    yield console.quantity(largest.artifact_bytes)
    yield f"{largest.size_ratio:.2f}"
    errors = [each.outputs.error for each in found if each.outputs.error_of is not None]
    yield _worst(errors, max, ".1%")
    cosines = [each.worst_cosine for each in found if each.worst_layer is not None]
    yield _worst(cosines, min, ".4f")
    cpu = [each.cpu_layers for each in found if each.cpu_layers is not None]
    yield str(max(cpu)) if cpu else ""
    yield str(max(each.float_layers for each in found))
