"""A trial: the same model and target with a remedy, built aside and kept in the cache alone."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from pipelines.backends.table import BACKENDS, trials_of
from pipelines.building.builder import Builder
from pipelines.doctor.remedy import Remedy, rewrites_of
from pipelines.dvc.lock import LockEntry, Locks
from pipelines.dvc.store import Store
from pipelines.recipe.define.model import Recipe, Target
from pipelines.record.digest import Contents
from pipelines.record.facts import Facts
from pipelines.record.step import Step
from pipelines.run.worker import Failed
from pipelines.stages.simplify import step as simplify
from pipelines.stages.stage import built, completed
from quant.report import build_json, layer_error, output_error, target_metrics
from quant.report.layer_error import LayerReport

T = TypeVar("T")
_TRIALS, _INFIX = "build/trials", "-trial-"
_READY = ("simplify", "quantize")  # stages that stand before a build
_SHARED = ("export/", "simplify/")
# What the SDK compiles: the network, and each tensor's scale and zero point.
_QUANTIZED = ("model.model", "model.quantization.cfg")


@dataclass(frozen=True)
class Result:
    """What a trial gave. failure: why it gave nothing; cure: options that it names for that.

    cycles: None where the SDK's estimate is none. difference: by how much the remedy's rewrites
    changed the float outputs, as a share of the largest magnitude; 0 where no bit changed.
    cosines: worst of each tensor and output; None where it is not finite. lengths: values of each
    tensor that a layer makes. network: digest of what was compiled; of two builds with the same
    one, only the compiler's options differ. outputs: digest of all figures of the outputs.
    worst_output_cosine is of the simulator against onnxruntime, over samples and outputs. error:
    the largest of an output, see `output_error.by_channel`; None where one is not finite.
    """

    remedy: Remedy
    artifact_bytes: int = 0
    size_ratio: float = 0.0
    cycles: int | None = 0
    worst_cosine: float | None = None
    worst_output_cosine: float | None = None
    difference: float = 0.0
    cosines: Mapping[str, float | None] = field(default_factory=dict)
    lengths: Mapping[str, int] = field(default_factory=dict)
    network: str = ""
    outputs: str = ""
    error: float | None = None
    failure: str = ""
    cure: Mapping[str, Any] = field(default_factory=dict)


class NoLocks(Locks):
    """In place of dvc.lock: a trial is in no dvc.yaml, so only the run-cache remembers it.

    It does so under the model's own names too: with the remedy in the recipe, the same steps are
    restored instead of run.
    """

    def __init__(self, root: Path, store: Store) -> None:
        super().__init__(root)
        self._store = store

    def entry(self, step: Step) -> None:
        return None

    def begin(self) -> None:
        """No run of ours to note."""

    def record(self, step: Step, entry: LockEntry) -> None:
        """The run-cache has it as a trial's; here as the model's."""
        own = _own(step)
        self._store.remember(
            own, LockEntry(_own_facts(own, entry.facts), _renamed(own, entry.outs))
        )

    def flush(self) -> None:
        """Nothing was recorded."""


class TrialsStore(Store):
    """A cache in which a trial's simplify finds what the same rewrites have given.

    Most remedies change options, which are facts of quantize and of what comes after it.
    """

    def __init__(self, store: Store) -> None:
        vars(self).update(vars(store))  # the same cache, and what is known of its objects

    def known(self, step: Step, facts: Facts) -> Iterator[LockEntry]:
        """Also what these facts gave under the model's own names."""
        yield from super().known(step, facts)
        if step.stage != "simplify" or _INFIX not in step.model:
            return
        own = _own(step)
        trials = {_own_path(step, path): path for path in step.outputs.values()}
        for entry in super().known(own, _own_facts(own, facts)):
            yield LockEntry(facts, {trials[path]: out for path, out in entry.outs.items()})


def _own(step: Step) -> Step:
    """The step as it is the model's own: where the run-cache has what the recipe's steps made."""
    outputs = {name: _own_path(step, path) for name, path in step.outputs.items()}
    return replace(step, model=step.model.rpartition(_INFIX)[0], outputs=outputs)


def _own_facts(own: Step, facts: Facts) -> Facts:
    return Facts(own.command, _renamed(own, facts.deps), facts.params)


def _renamed(step: Step, paths: Mapping[str, T]) -> dict[str, T]:
    return {_own_path(step, path): what for path, what in paths.items()}


def _own_path(step: Step, path: str) -> str:
    """Where the model itself has what a trial has below build/trials/."""
    trial = re.match(rf"{re.escape(step.folder)}/{_TRIALS}/[^/]+/", path)
    return f"{step.folder}/build/{path[trial.end() :]}" if trial else path


def builder_of_trials(builder: Builder) -> Builder:
    """The same worker, cache and memory, but nothing goes into dvc.lock."""
    trials = copy.copy(builder)
    trials.locks = NoLocks(builder.root, builder.store)
    trials.store = TrialsStore(builder.store)
    return trials


def run(root: Path, builder: Builder, recipe: Recipe, target: Target, remedy: Remedy) -> Result:
    """Bring the trial's steps up to date, one after the other. A failed one is a result too."""
    varied, varied_target = vary(recipe, target, remedy)
    shared = _quantized(recipe, target, remedy)
    try:
        for step in steps(root, varied, varied_target):
            if shared == varied.build:
                builder.ensure(step)
            elif step.stage not in _READY:
                builder.ensure(sharing(step, varied, shared, (*_SHARED, f"{target.name}/quantize")))
    except Failed as error:
        return Result(remedy, failure=str(error).splitlines()[0], cure=error.cure)
    folder = Path(varied.folder)
    return _read(builder, folder / varied.build, varied_target, remedy, folder / shared)


@dataclass(frozen=True)
class Foretold:
    """What our simulation says of a remedy, of which nothing is compiled.

    error: as of Result. unknown: why there is none. sets: of float16 layers, see jobs/foretell.
    """

    remedy: Remedy
    error: float | None = None
    unknown: str = ""
    sets: Sequence[Mapping[str, Any]] = ()


def foretell(
    root: Path,
    builder: Builder,
    recipe: Recipe,
    target: Target,
    remedy: Remedy,
    *,
    is_searched: bool = False,
) -> Foretold:
    """Quantize with a remedy, and simulate that. is_searched: sets of float16 layers too."""
    is_own = remedy == Remedy()
    varied, varied_target = (recipe, target) if is_own else vary(recipe, target, remedy)
    trials = trials_of(target)
    if trials.is_one_call(varied_target):
        return Foretold(remedy, unknown="one call of the SDK makes this file")
    key = f"foretell-{target.name}-{'layers' if is_searched else 'outputs'}"
    out = built(varied, f"trials/{key}/foretold.json" if is_own else f"{key}.json")
    step = trials.simulate(varied, varied_target, root, out, is_searched=is_searched)
    if is_own:
        step = replace(step, model=name_of(recipe, key))
    ready = [] if is_own else [s for s in steps(root, varied, varied_target) if s.stage in _READY]
    try:
        for one in (*ready, completed(step, varied)):
            builder.ensure(one)
    except Failed as error:
        return Foretold(remedy, unknown=str(error).splitlines()[0])
    told = json.loads((root / out).read_text())
    return Foretold(remedy, told["error"], told["unknown"] or "", told["sets"])


def _quantized(recipe: Recipe, target: Target, remedy: Remedy) -> str:
    """The folder whose simplified and quantized network a trial takes; layers change neither."""
    if not remedy.layers:
        return vary(recipe, target, remedy)[0].build
    before = replace(remedy, layers={})
    return recipe.build if before == Remedy() else vary(recipe, target, before)[0].build


def sharing(step: Step, recipe: Recipe, build: str, shared: Sequence[str]) -> Step:
    """The step of a trial, reading what starts with `shared` in another folder of the model."""
    trials, own = f"{recipe.folder}/{recipe.build}/", f"{recipe.folder}/{build}/"
    inputs = {
        name: own + path.removeprefix(trials)
        if path.startswith(trials) and path.removeprefix(trials).startswith(tuple(shared))
        else path
        for name, path in step.inputs.items()
    }
    return replace(step, inputs=inputs)


def as_it_is(builder: Builder, recipe: Recipe, target: Target) -> Result:
    """The build that is there already."""
    return _read(builder, Path(recipe.folder, recipe.build), target, Remedy())


def steps(root: Path, recipe: Recipe, target: Target) -> list[Step]:
    """All but export, which the trial shares with the build itself."""
    own = [simplify.step(recipe, root), *BACKENDS[target.backend].steps(recipe, target, root)]
    return [completed(step, recipe) for step in own]


def vary(recipe: Recipe, target: Target, remedy: Remedy) -> tuple[Recipe, Target]:
    """The recipe and target with the remedy, to be built below build/trials/."""
    key = remedy.key(target)
    varied_target = remedy.varied(target)
    rewrites = tuple(rewrites_of(recipe, remedy.rewrites))
    varied = replace(
        recipe,
        model=name_of(recipe, key),
        build=f"{_TRIALS}/{key}",
        simplify=replace(
            recipe.simplify,
            rewrite=rewrites,
            divide={**recipe.simplify.divide, **remedy.divide},
        ),
        targets={target.name: varied_target},
        raw=_raw(recipe, target, remedy),
    )
    return varied, varied_target


def name_of(recipe: Recipe, key: str) -> str:
    """What a step of the trial `key` has for its model's name."""
    return f"{recipe.model}{_INFIX}{key}"


def _raw(recipe: Recipe, target: Target, remedy: Remedy) -> dict[str, Any]:
    """What the recipe's file would hold, so that the steps' facts are those of the remedy."""
    text = yaml.safe_dump(copy.deepcopy(dict(recipe.raw)), sort_keys=False)
    return dict(yaml.safe_load(remedy.applied_to(text, recipe, target)))


def _read(
    builder: Builder, below: Path, target: Target, remedy: Remedy, shared: Path | None = None
) -> Result:
    """below: the project, as is `shared`: where the simplified and quantized network is, if that
    is elsewhere."""
    folder, shared = builder.root / below, shared or below
    report = folder / target.name / "report"
    metrics = target_metrics.read(report / "metrics.json")
    layers = layer_error.read(report / "layers.json")
    outputs = metrics.outputs
    cosines = [output["cosine"]["worst"] for output in outputs.values()]
    return Result(
        remedy,
        metrics.sizes[BACKENDS[target.backend].bytes_key],
        metrics.size_ratio,
        metrics.cycles,
        metrics.worst_cosine,
        min(cosines) if cosines and None not in cosines else None,
        max(_differences(builder.root / shared, remedy), default=0.0),
        dict(_cosines(layers, outputs)),
        _lengths(folder / target.name),
        _network(builder.contents, shared / target.name / "quantize", outputs),
        hashlib.sha256(json.dumps(outputs, sort_keys=True).encode()).hexdigest(),
        output_error.by_channel(outputs),
    )


def _lengths(folder: Path) -> dict[str, int]:
    build = build_json.read(folder / "build.json")
    return {
        tensor: math.prod(shape)
        for layer, tensors in build.made
        for tensor, shape in zip(tensors, layer["output_shapes"], strict=False)
        if shape
    }


def _differences(folder: Path, remedy: Remedy) -> Iterator[float]:
    """How much each rewrite of the remedy changed the float outputs, in onnxruntime."""
    if not remedy.rewrites:
        return
    changes = json.loads((folder / "simplify" / "changes.json").read_text())
    for name, found in changes["difference_by_rewrite"].items():
        if name in remedy.rewrites:
            yield from (found[k] for k in ("random", "calibration") if found[k] is not None)


def _cosines(layers: LayerReport, outputs: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    for row in layers.rows:
        for column, error in (("entire", row.entire), ("single", row.single)):
            if error:
                yield f"{column} {row.tensor}", error.cosine_worst
    for name, found in outputs.items():
        yield f"output {name}", found["cosine"]["worst"]


def _network(contents: Contents, folder: Path, outputs: Mapping[str, Any]) -> str:
    """A target that is quantized in one call has no such folder: its outputs speak for it."""
    files = [contents.of(f"{folder}/{file}") for file in _QUANTIZED]
    told = [outputs, [file.md5 for file in files if file]]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
