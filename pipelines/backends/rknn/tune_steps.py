"""Steps of `./doit tune` and `doctor` that are in no plan: measuring, simulating, searching."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.backends.rknn import steps
from pipelines.recipe.define.model import Recipe, Target
from pipelines.stages.stage import (
    Step,
    Work,
    data_inputs,
    job,
    samples_work,
    step_of,
    target_sections,
)

if TYPE_CHECKING:
    from pipelines.backends.rknn.params import RknnParams

_READ = ("quantize", "float", "cut")


def measure_step(recipe: Recipe, target: Target, root: Path, out: str) -> Step:
    """The outputs of a build that stands in the recipe's build folder; writes the file `out`."""
    analyze = steps.analyze_step(recipe, target, root)
    module = "pipelines.backends.rknn.jobs.measure"
    inputs = {name: path for name, path in analyze.inputs.items() if name != "model"}
    if "model" in steps.compiled_inputs(recipe, target):
        inputs["model"] = analyze.inputs["model"]

    def work() -> tuple[Work, ...]:
        *prepare, last = analyze.work()
        return (*prepare, Work(last.toolchain, module, last.params))

    outputs = {"measured.json": out}
    return dataclasses.replace(analyze, stage="measure", inputs=inputs, outputs=outputs, work=work)


def search_step(
    recipe: Recipe, target: Target, root: Path, by: str, builds: Mapping[str, str], out: str
) -> Step:
    """builds: int8.json, half.json and seed/NAME -> build.json of each. Writes the file `out`."""
    from pipelines.backends.rknn.params import TuneParams

    return _simulating(
        recipe,
        target,
        root,
        "tune",
        {"tune.json": out},
        _params(TuneParams, recipe, target, by=by),
        target_sections(recipe, target.name, *_PATHS) | {"tune.by": by},
        builds,
    )


def foretell_step(
    recipe: Recipe, target: Target, root: Path, out: str, *, is_searched: bool
) -> Step:
    """What our simulation makes of a quantized network; writes the file `out`.

    is_searched: also of sets of float16 layers.
    """
    from pipelines.backends.rknn.params import ForetellParams

    return _simulating(
        recipe,
        target,
        root,
        "foretell",
        {"foretold.json": out},
        _params(ForetellParams, recipe, target, is_searched=is_searched),
        target_sections(recipe, target.name, *_PATHS, "build")
        | {"foretell.is_searched": is_searched},
    )


_PATHS = ("inputs", "analyze", "quantize.calibration")


def _params(kind: type[steps.P], recipe: Recipe, target: Target, **more: Any) -> steps.P:
    data = target.analyze.samples
    return steps.job_params(kind, recipe, target, data, random=steps.RANDOM_SAMPLES, **more)


def _simulating(
    recipe: Recipe,
    target: Target,
    root: Path,
    stage: str,
    outputs: Mapping[str, str],
    params: RknnParams,
    sections: Mapping[str, Any],
    more: Mapping[str, str] | None = None,
) -> Step:
    """The quantized network in our simulation, by the job of the stage's name. more: inputs."""
    module = f"pipelines.backends.rknn.jobs.{stage}"
    compiled = steps.compiled_inputs(recipe, target)
    return step_of(
        recipe,
        stage,
        target.name,
        inputs={
            **{name: path for name, path in compiled.items() if name in _READ},
            **(more or {}),
            **data_inputs(recipe, params.samples, root),
        },
        outputs=outputs,
        sections=sections,
        version_key="rknn.tune",
        toolchains=("core", target.toolchain),
        work=lambda: (samples_work(params), job(target.toolchain, module, params)),
    )
