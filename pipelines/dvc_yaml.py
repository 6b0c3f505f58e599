"""models/NAME/dvc.yaml, generated from the plan: doit's steps for `dvc repro` and `status`."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from pipelines.facts import VERSIONS
from pipelines.recipe.model import Recipe, Target
from pipelines.step import Step

HEAD = "# Generated from recipe.yaml by ./doit; edit that instead.\n"
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def model_text(steps: Iterable[Step]) -> str:
    """models/NAME/dvc.yaml: a literal stage a step."""
    data = {"stages": {step.lock_name: _stage(step) for step in steps}}
    return HEAD + yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def registry_text(recipes: Mapping[str, Recipe]) -> str:
    """The root dvc.yaml: an artifact a model and target. Metrics and plots are the stages' own."""
    artifacts = {
        f"{recipe.model}-{target.name}": _artifact(recipe, target)
        for recipe in recipes.values()
        for target in recipe.targets.values()
    }
    return HEAD + yaml.dump({"artifacts": artifacts}, Dumper=_Dumper, sort_keys=False)


def _artifact(recipe: Recipe, target: Target) -> dict[str, Any]:
    return {
        "path": f"{recipe.folder}/build/{target.name}/model.rknn",
        "type": "model",
        "desc": recipe.description or recipe.model,
        "labels": [target.platform or target.name],
    }


def _stage(step: Step) -> dict[str, Any]:
    outs = sorted(_below(path, step) for path in step.outputs.values())
    kinds: dict[str, list[str]] = {"outs": [], "metrics": [], "plots": []}
    for path in outs:
        kinds[_kind(path)].append(path)
    return {
        "cmd": step.command,
        "deps": sorted(_below(path, step) for path in step.dependencies),
        "params": [
            {_below(VERSIONS, step): [step.version_key]},
            *([{"recipe.yaml": sorted(step.sections)}] if step.sections else []),
        ],
        **{kind: paths for kind, paths in kinds.items() if paths},
    }


def _kind(path: str) -> str:
    """Cached outputs all three: an uncached metric does not survive a clone."""
    name = posixpath.basename(path)
    return {"metrics.json": "metrics", "layers.csv": "plots"}.get(name, "outs")


def _below(path: str, step: Step) -> str:
    return posixpath.relpath(path, step.folder)
