"""The backend of whole numbers: quantize = prepared float graph and ranges, build = both files.

The ranges depend on neither input_scale nor bias_mode, so that the targets of a sweep share one
quantize step, named after their family: `quantize@int8` for int8-s4-b8, int8-s8-b8 and the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.backends.fixed_point.recipe import sweep
from pipelines.backends.fixed_point.recipe.keys import KEYS as FIXED_POINT
from pipelines.backends.fixed_point.recipe.options import options
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
    report_outputs,
    samples_work,
    sections,
    step_of,
    target_sections,
)

TOOLCHAIN = "core"
_JOBS = "pipelines.backends.fixed_point.jobs"
REPORTS = ("layers.json", "layers.csv", "metrics.json", "bytes.json")
_OF_QUANTIZE = ("shifts", "equalize", "weight_rounding")


def steps(recipe: Recipe, target: Target, root: Path) -> list[Step]:
    """The target's steps, in order; the first is the family's."""
    return [
        _quantize(recipe, target, root),
        _build(recipe, target),
        _analyze(recipe, target, root),
    ]


def artifacts(recipe: Recipe, target: Target) -> dict[str, str]:
    """Kind -> name of each file that build makes for use elsewhere.

    A TFLite file has no operators of ONNX in float, so none is promised where they may stay.
    """
    kinds = ("onnx",) if options(target).unsupported == "float" else ("onnx", "tflite")
    return {kind: f"{recipe.model}_quant.{kind}" for kind in kinds}


def _folder(recipe: Recipe, target: Target) -> str:
    return built(recipe, f"{target.family}/quantize")


def _quantize(recipe: Recipe, target: Target, root: Path) -> Step:
    chosen = options(target)
    is_calibrated = chosen.shifts == "calibrated"
    calibration = target.calibration if is_calibrated else None
    own = {key: getattr(chosen, key) for key in _OF_QUANTIZE}

    def work() -> tuple[Work, ...]:
        from pipelines.backends.fixed_point.jobs.params import QuantizeParams

        params = QuantizeParams(name=recipe.model, inputs=recipe.inputs, samples=calibration, **own)
        prepare = (samples_work(params),) if calibration else ()
        return (*prepare, job(TOOLCHAIN, f"{_JOBS}.quantize", params))

    return step_of(
        recipe,
        "quantize",
        target.family,
        inputs={
            "model": built(recipe, "simplify/model.onnx"),
            **data_inputs(recipe, calibration, root),
        },
        outputs={"quantize": _folder(recipe, target)},
        sections=target_sections(
            recipe,
            target.family,
            *("inputs", *_OF_QUANTIZE),
            *(("quantize.calibration",) if is_calibrated else ()),
        ),
        version_key="fixed_point.quantize",
        toolchains=(TOOLCHAIN,),
        work=work,
    )


def _build(recipe: Recipe, target: Target) -> Step:
    params = {"name": recipe.model, "inputs": recipe.inputs, "fixed_point": options(target).told}
    made = (*artifacts(recipe, target).values(), "build.json")
    return step_of(
        recipe,
        "build",
        target.name,
        inputs={"quantize": _folder(recipe, target)},
        outputs={file: built(recipe, f"{target.name}/{file}") for file in made},
        sections=_chosen(recipe, target),
        version_key="fixed_point.build",
        toolchains=(TOOLCHAIN,),
        work=lambda: (job(TOOLCHAIN, f"{_JOBS}.build", params),),
    )


def _chosen(recipe: Recipe, target: Target) -> dict[str, Any]:
    """The target's options as written, without those that its name, a fact itself, tells.

    So that one more value in a list makes no other target of the sweep stale.
    """
    family = f"targets.{target.family}"
    keys = (key for key in FIXED_POINT if key not in ("equalize", "weight_rounding"))
    written = sections(recipe.raw, *(f"{family}.{key}" for key in keys))
    return {
        path: value
        for path, value in written.items()
        if not sweep.is_in_name(path.rpartition(".")[2], value)
    }


def _analyze(recipe: Recipe, target: Target, root: Path) -> Step:
    samples = target.analyze.samples
    paths = ("inputs", "analyze", "evaluate", "quantize.calibration")
    return step_of(
        recipe,
        "analyze",
        target.name,
        inputs={
            **_built_inputs(recipe, target),
            **data_inputs(recipe, samples, root),
            **evaluate_inputs(recipe, recipe.evaluate),
        },
        outputs=report_outputs(recipe, target.name, REPORTS),
        sections=target_sections(recipe, target.family, *paths),
        version_key="fixed_point.analyze",
        toolchains=(TOOLCHAIN,),
        work=lambda: _work(recipe, "analyze", samples=samples, evaluate=recipe.evaluate),
    )


def _work(recipe: Recipe, name: str, **data: Any) -> tuple[Work, ...]:
    """The data, then the job of that name. data: see DataParams."""
    from pipelines.backends.fixed_point.jobs.params import ModelParams

    params = ModelParams(name=recipe.model, inputs=recipe.inputs, **data)
    return samples_work(params), job(TOOLCHAIN, f"{_JOBS}.{name}", params)


def _built_inputs(recipe: Recipe, target: Target) -> dict[str, str]:
    """What build made and was made from; `float` is the network before any change."""
    files = {
        f"artifact.{kind}": built(recipe, f"{target.name}/{file}")
        for kind, file in artifacts(recipe, target).items()
    }
    return {
        "quantize": _folder(recipe, target),
        "build.json": built(recipe, f"{target.name}/build.json"),
        "float": built(recipe, "export/model.onnx"),
        "model": built(recipe, "simplify/model.onnx"),
        **cut_inputs(recipe),
        **files,
    }


def infer_step(recipe: Recipe, target: Target, listing: str, files: Sequence[str]) -> Step:
    """A step outside the plan: the files that `listing` names through float and int8.

    listing and files: paths relative to the project.
    """
    return step_of(
        recipe,
        "infer",
        target.name,
        inputs={**_built_inputs(recipe, target), **listed_inputs(listing, files)},
        outputs=dict.fromkeys(("comparison.json", "float.npz", "integer.npz"), ""),
        version_key="fixed_point.analyze",
        toolchains=(TOOLCHAIN,),
        work=lambda: _work(recipe, "infer", samples=Samples(list=listing)),
    )
