"""Steps of the backend qdq: quantize = ranges, build = NAME_qdq.onnx, analyze = its reports.

Ranges depend on neither types nor operators, so that changing these never repeats the calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.backends.qdq.recipe.options import OF_BUILD, OF_QUANTIZE, Options
from pipelines.recipe.define.model import Recipe, Samples, Target
from pipelines.stages.stage import (
    Step,
    Work,
    built,
    cut_inputs,
    data_inputs,
    evaluate_inputs,
    job,
    listed_inputs,
    plain,
    report_outputs,
    samples_work,
    step_of,
    target_sections,
)

TOOLCHAIN = "core"
REPORTS = ("layers.json", "layers.csv", "metrics.json", "bytes.json")


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
    read: Sequence[str] = (),
    **data: Any,
) -> Step:
    """One of the target's steps. read: names of the options that it reads. data: see DataParams."""

    def work() -> tuple[Work, ...]:
        from pipelines.backends.qdq.jobs.params import QdqParams

        assert isinstance(target.options, Options), target.name
        params = QdqParams(name=recipe.model, inputs=recipe.inputs, options=target.options, **data)
        told = {**plain(params), "options": {name: plain(params.options)[name] for name in read}}
        own = job(TOOLCHAIN, f"pipelines.backends.qdq.jobs.{stage}", told)
        return (samples_work(params), own) if params.samples else (own,)

    return step_of(
        recipe,
        stage,
        target.name,
        inputs=inputs,
        outputs=outputs,
        sections=sections,
        version_key=f"qdq.{'analyze' if stage == 'infer' else stage}",
        toolchains=(TOOLCHAIN,),
        work=work,
    )


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
        target_sections(recipe, target.name, "inputs", "quantize.calibration", *OF_QUANTIZE),
        OF_QUANTIZE,
        samples=calibration,
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
        target_sections(recipe, target.name, *OF_BUILD),
        OF_BUILD,
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
        report_outputs(recipe, target.name, REPORTS),
        target_sections(
            recipe, target.name, "inputs", "analyze", "evaluate", "quantize.calibration"
        ),
        samples=samples,
        evaluate=recipe.evaluate,
    )


def _built_inputs(recipe: Recipe, target: Target) -> dict[str, str]:
    """What build made and was made from; `float` is the network before any change."""
    (file,) = artifacts(recipe, target).values()
    return {
        "artifact.onnx": built(recipe, f"{target.name}/{file}"),
        "float": built(recipe, "export/model.onnx"),
        "model": built(recipe, "simplify/model.onnx"),
        **cut_inputs(recipe),
    }


def infer_step(recipe: Recipe, target: Target, listing: str, files: Sequence[str]) -> Step:
    """A step outside the plan: the files that `listing` names through float and qdq.

    listing and files: paths relative to the project.
    """
    return _step(
        recipe,
        target,
        "infer",
        {**_built_inputs(recipe, target), **listed_inputs(listing, files)},
        dict.fromkeys(("comparison.json", "float.npz", "qdq.npz"), ""),
        {},
        samples=Samples(list=listing),
    )
