"""A trial: the same model and target with a remedy, built aside and kept in the cache alone."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from pipelines.backends.table import BACKENDS
from pipelines.builder import Builder
from pipelines.doctor.remedy import Remedy, rewrites_of
from pipelines.lock import Entry, Locks
from pipelines.recipe.model import Recipe, Target
from pipelines.stages import simplify
from pipelines.step import Step
from pipelines.worker import Failed


@dataclass(frozen=True)
class Result:
    """What a trial gave. difference: largest of the float outputs', relative. failure: why not.

    worst_output_cosine is of the simulator against onnxruntime, over samples and outputs.
    """

    remedy: Remedy
    artifact_bytes: int = 0
    size_ratio: float = 0.0
    cycles: int = 0
    worst_cosine: float | None = None
    worst_output_cosine: float | None = None
    difference: float = 0.0
    failure: str = ""


class NoLocks(Locks):
    """In place of dvc.lock: a trial is in no dvc.yaml, so only the run-cache remembers it."""

    def entry(self, step: Step) -> None:
        return None

    def begin(self) -> None:
        """No run of ours to note."""

    def record(self, step: Step, entry: Entry) -> None:
        """The run-cache has it."""

    def flush(self) -> None:
        """Nothing was recorded."""


def builder_of_trials(builder: Builder) -> Builder:
    """The same worker, cache and memory, but nothing goes into dvc.lock."""
    trials = copy.copy(builder)
    trials.locks = NoLocks(builder.root)
    return trials


def run(root: Path, builder: Builder, recipe: Recipe, target: Target, remedy: Remedy) -> Result:
    """Bring the trial's steps up to date, one after the other. A failed one is a result too."""
    varied, varied_target = vary(recipe, target, remedy)
    try:
        for step in steps(root, varied, varied_target):
            builder.bring(step)
    except Failed as error:
        return Result(remedy, failure=str(error).splitlines()[0])
    return _read(root / varied.folder / varied.build, varied_target, remedy)


def steps(root: Path, recipe: Recipe, target: Target) -> list[Step]:
    """All but export, which the trial shares with the build itself."""
    return [simplify.step(recipe, root), *BACKENDS[target.backend](recipe, target, root)]


def vary(recipe: Recipe, target: Target, remedy: Remedy) -> tuple[Recipe, Target]:
    """The recipe and target with the remedy, to be built below build/trials/."""
    key = remedy.key(target)
    quantize = replace(target.quantize, rknn={**target.quantize.rknn, **remedy.options})
    varied_target = replace(target, quantize=quantize)
    rewrites = tuple(rewrites_of(recipe, remedy.rewrites))
    varied = replace(
        recipe,
        model=f"{recipe.model}-trial-{key}",
        build=f"build/trials/{key}",
        simplify=replace(recipe.simplify, rewrite=rewrites),
        targets={target.name: varied_target},
        raw=_raw(recipe, target, remedy),
    )
    return varied, varied_target


def _raw(recipe: Recipe, target: Target, remedy: Remedy) -> dict[str, Any]:
    """What the recipe's file would hold, so that the steps' facts are those of the remedy."""
    text = yaml.safe_dump(copy.deepcopy(dict(recipe.raw)), sort_keys=False)
    return dict(yaml.safe_load(remedy.applied_to(text, recipe, target)))


def _read(folder: Path, target: Target, remedy: Remedy) -> Result:
    metrics = json.loads((folder / target.name / "report" / "metrics.json").read_text())
    changes = json.loads((folder / "simplify" / "changes.json").read_text())
    cosines = [output["cosine"]["worst"] for output in metrics["outputs"].values()]
    differences = [
        value
        for output in changes["difference"]["outputs"].values()
        for value in output.values()
        if value is not None
    ]
    return Result(
        remedy,
        metrics["bytes"]["rknn"],
        metrics["size_ratio"],
        metrics["cycles"],
        metrics["worst_cosine"],
        min(cosines) if cosines and None not in cosines else None,
        max(differences, default=0.0),
    )
