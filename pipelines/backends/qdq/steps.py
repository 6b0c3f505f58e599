"""Steps of the backend qdq: quantize = ranges, build = NAME_qdq.onnx, analyze = its reports.

Ranges depend on neither types nor operators, so that changing these never repeats the calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pipelines.backends.qdq.recipe.options import Options
from pipelines.recipe.define.model import Recipe, Samples, Target
from pipelines.stages.stage import (
    Step,
    Work,
    built,
    data_inputs,
    evaluate_inputs,
    plain,
    samples_work,
    sections,
    version,
)

TOOLCHAIN = "core"
REPORTS = ("layers.json", "layers.csv", "metrics.json", "bytes.json")
_OF_QUANTIZE = ("calibrate_method", "percentile", "num_bins")
_OF_BUILD = tuple(field.name for field in fields(Options) if field.name not in _OF_QUANTIZE)


def steps(recipe: Recipe, target: Target, root: Path) -> list[Step]:
    """The target's steps, in order."""
    return [
        _quantize(recipe, target, root),
        _build(recipe, target),
        _analyze(recipe, target, root),
    ]


def artifacts(recipe: Recipe, target: Target) -> dict[str, str]:
    """Kind -> name of the file that build makes for use elsewhere."""
    return {"onnx": f"{recipe.model}_qdq.onnx"}


def _step(
    recipe: Recipe,
    target: Target,
    stage: str,
    inputs: dict[str, str],
    outputs: dict[str, str],
    sections: dict[str, Any],
    params: dict[str, Any],
) -> Step:
    """One of the target's steps. params: its own, beside what every job here is given."""
    given = {
        "name": recipe.model,
        "source_kind": "onnx",
        "inputs": plain(recipe.inputs),
        "samples": None,
        "evaluate": None,
        **params,
    }
    works = (Work(TOOLCHAIN, f"pipelines.backends.qdq.jobs.{stage}", given),)
    key = f"qdq.{'analyze' if stage == 'infer' else stage}"
    return Step(
        model=recipe.model,
        stage=stage,
        target=target.name,
        folder=recipe.folder,
        inputs=inputs,
        outputs=outputs,
        sections=sections,
        version_key=key,
        version=version(key),
        toolchains=(TOOLCHAIN,),
        work=lambda: (samples_work(given), *works) if given["samples"] else works,
    )


def _sections(recipe: Recipe, target: Target, *paths: str) -> dict[str, Any]:
    own = (f"targets.{target.name}.{path}" for path in paths)
    return sections(recipe.raw, *paths, *own)


def _options(target: Target, *names: str) -> dict[str, Any]:
    """Those that a step reads."""
    told = plain(target.options)
    return {name: told[name] for name in names}


def _quantize(recipe: Recipe, target: Target, root: Path) -> Step:
    calibration = target.calibration
    return _step(
        recipe,
        target,
        "quantize",
        {
            "model": built(recipe, "simplify/model.onnx"),
            **data_inputs(recipe, calibration, root),
        },
        {"quantize": built(recipe, f"{target.name}/quantize")},
        _sections(recipe, target, "inputs", "quantize.calibration", *_OF_QUANTIZE),
        {"samples": plain(calibration), "options": _options(target, *_OF_QUANTIZE)},
    )


def _build(recipe: Recipe, target: Target) -> Step:
    made = (*artifacts(recipe, target).values(), "build.json")
    return _step(
        recipe,
        target,
        "build",
        {
            "model": built(recipe, "simplify/model.onnx"),
            "quantize": built(recipe, f"{target.name}/quantize"),
        },
        {file: built(recipe, f"{target.name}/{file}") for file in made},
        _sections(recipe, target, *_OF_BUILD),
        {"options": _options(target, *_OF_BUILD)},
    )


def _analyze(recipe: Recipe, target: Target, root: Path) -> Step:
    samples = target.analyze.samples
    return _step(
        recipe,
        target,
        "analyze",
        {
            **_built_inputs(recipe, target),
            **data_inputs(recipe, samples, root),
            **evaluate_inputs(recipe, recipe.evaluate),
        },
        {f"report/{file}": built(recipe, f"{target.name}/report/{file}") for file in REPORTS},
        _sections(recipe, target, "inputs", "analyze", "evaluate", "quantize.calibration"),
        {"samples": plain(samples), "evaluate": plain(recipe.evaluate)},
    )


def _built_inputs(recipe: Recipe, target: Target) -> dict[str, str]:
    """What build made and was made from; `float` is the network before any change."""
    (file,) = artifacts(recipe, target).values()
    return {
        "artifact.onnx": built(recipe, f"{target.name}/{file}"),
        "float": built(recipe, "export/model.onnx"),
        "model": built(recipe, "simplify/model.onnx"),
    }


def infer_step(recipe: Recipe, target: Target, listing: str, files: Sequence[str]) -> Step:
    """A step outside the plan: the files that `listing` names through float and qdq.

    listing and files: paths relative to the project.
    """
    return _step(
        recipe,
        target,
        "infer",
        {
            **_built_inputs(recipe, target),
            "data": listing,
            **{f"listed/{i}": file for i, file in enumerate(files)},
        },
        dict.fromkeys(("comparison.json", "float.npz", "qdq.npz"), ""),
        {},
        {"samples": plain(Samples(list=listing))},
    )
