"""models/NAME/dvc.yaml, generated from the plan: doit's steps for `dvc repro` and `status`."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from pipelines.backends.table import BACKENDS
from pipelines.building.plan import Plan
from pipelines.recipe.define.model import Recipe, Target
from pipelines.record.facts import DEFAULTS, VERSIONS
from pipelines.record.step import Step

HEAD = "# Generated from recipe.yaml by ./doit; edit that instead.\n"
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def model_text(steps: Iterable[Step]) -> str:
    """models/NAME/dvc.yaml: a literal stage a step."""
    data = {"stages": {step.lock_name: _stage(step) for step in steps}}
    return HEAD + _yaml(data)


def registry_text(plan: Plan) -> str:
    """The root dvc.yaml: an artifact a model and target, metrics and plots over the models."""
    return HEAD + _yaml(registry(plan))


def registry_digest(plan: Plan) -> str:
    return hashlib.md5(repr(registry(plan)).encode(), usedforsecurity=False).hexdigest()


def registry(plan: Plan) -> dict[str, Any]:
    """What the root dvc.yaml tells; each part of it is of one model."""
    made = [path for step in plan.steps.values() for path in step.outputs.values()]
    tables: dict[str, list[str]] = {}
    for step in plan.steps.values():
        found = [path for path in step.outputs.values() if _kind(path) == "plots"]
        tables.setdefault(step.model, []).extend(found)
    return {
        # GTO's names: letters, digits, - _ /. With `-`, a-b for c would be a for b-c.
        "artifacts": {
            name: _artifact(recipe, target, file)
            for recipe, target in plan.targets()
            for name, file in registered(recipe, target)
        },
        "metrics": [path for path in made if _kind(path) == "metrics"],
        "plots": [_comparison(model, paths) for model, paths in tables.items() if paths],
    }


def _comparison(model: str, tables: Iterable[str]) -> dict[str, Any]:
    """A plot of all targets of a model; `single` leaves out what earlier layers did wrong."""
    return {
        f"{model}: cosine of each layer, all targets": {
            "x": "id",
            "y": {table: ["entire_cosine_worst", "single_cosine_worst"] for table in tables},
            "x_label": "layer",
            "y_label": "worst cosine",
        }
    }


def _yaml(data: Any) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def registered(recipe: Recipe, target: Target) -> Iterator[tuple[str, str]]:
    """Name in the registry and file; the kind is told only where there are several."""
    made = BACKENDS[target.backend].artifacts(recipe, target)
    for kind, file in made.items():
        yield f"{recipe.model}/{target.name}" + (f"/{kind}" if len(made) > 1 else ""), file


def _artifact(recipe: Recipe, target: Target, file: str) -> dict[str, Any]:
    return {
        "path": f"{recipe.folder}/build/{target.name}/{file}",
        "type": "model",
        "desc": recipe.description or recipe.model,
        "labels": [target.platform or target.name],
    }


def _stage(step: Step) -> dict[str, Any]:
    outs = sorted(_below(path, step) for path in step.outputs.values())
    kinds: dict[str, list[Any]] = {"outs": [], "metrics": [], "plots": []}
    for path in outs:
        kind = _kind(path)
        kinds[kind].append({path: _plot(step)} if kind == "plots" else path)
    return {
        "cmd": step.command,
        "deps": sorted(_below(path, step) for path in step.dependencies),
        "params": [
            {_below(VERSIONS, step): [step.version_key]},
            *([{_below(DEFAULTS, step): sorted(step.defaults)}] if step.defaults else []),
            *([{"recipe.yaml": sorted(step.sections)}] if step.sections else []),
        ],
        **{kind: paths for kind, paths in kinds.items() if paths},
    }


def _kind(path: str) -> str:
    """Cached outputs all three: an uncached metric does not survive a clone."""
    name = posixpath.basename(path)
    return {"metrics.json": "metrics", "layers.csv": "plots"}.get(name, "outs")


def _plot(step: Step) -> dict[str, str]:
    """How `dvc plots show` draws layers.csv."""
    return {
        "x": "id",
        "y": "entire_cosine_worst",
        "x_label": "layer",
        "y_label": "worst cosine",
        "title": f"{step.model}@{step.target}: cosine of each layer",
    }


def _below(path: str, step: Step) -> str:
    return posixpath.relpath(path, step.folder)
