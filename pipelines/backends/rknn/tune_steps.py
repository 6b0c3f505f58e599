"""Steps of `./doit tune` and `doctor` that are in no plan: measuring, simulating, searching."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.backends.rknn import steps
from pipelines.backends.rknn.params import ForetellParams, TuneParams
from pipelines.recipe.define.model import Recipe, Target
from pipelines.stages.stage import Step, Work, data_inputs, job, samples_work, version

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

    return Step(
        model=recipe.model,
        stage="measure",
        target=target.name,
        folder=recipe.folder,
        inputs=inputs,
        outputs={"measured.json": out},
        sections=analyze.sections,
        version_key="rknn.analyze",
        version=version("rknn.analyze"),
        toolchains=analyze.toolchains,
        work=work,
    )


def search_step(
    recipe: Recipe, target: Target, root: Path, by: str, builds: Mapping[str, str], out: str
) -> Step:
    """builds: int8.json, half.json and seed/NAME -> build.json of each. Writes the file `out`."""
    samples = target.analyze.samples
    params = steps.job_params(
        TuneParams, recipe, target, samples, random=steps.RANDOM_SAMPLES, by=by
    )
    compiled = steps.compiled_inputs(recipe, target)
    inputs = {name: path for name, path in compiled.items() if name in _READ}
    return Step(
        model=recipe.model,
        stage="tune",
        target=target.name,
        folder=recipe.folder,
        inputs={**inputs, **builds, **data_inputs(recipe, samples, root)},
        outputs={"tune.json": out},
        sections={
            **steps.read_sections(recipe, target, "inputs", "analyze", "quantize.calibration"),
            "tune.by": by,
        },
        version_key="rknn.tune",
        version=version("rknn.tune"),
        toolchains=("core", target.toolchain),
        work=lambda: (
            samples_work(params),
            job(target.toolchain, "pipelines.backends.rknn.jobs.tune", params),
        ),
    )


def foretell_step(
    recipe: Recipe, target: Target, root: Path, out: str, *, is_searched: bool
) -> Step:
    """What our simulation makes of a quantized network; writes the file `out`.

    is_searched: also of sets of float16 layers.
    """
    samples = target.analyze.samples
    params = steps.job_params(
        ForetellParams,
        recipe,
        target,
        samples,
        random=steps.RANDOM_SAMPLES,
        is_searched=is_searched,
    )
    paths = ("inputs", "analyze", "quantize.calibration", "build")
    return Step(
        model=recipe.model,
        stage="foretell",
        target=target.name,
        folder=recipe.folder,
        inputs={
            **{k: v for k, v in steps.compiled_inputs(recipe, target).items() if k in _READ},
            **data_inputs(recipe, samples, root),
        },
        outputs={"foretold.json": out},
        sections={
            **steps.read_sections(recipe, target, *paths),
            "foretell.is_searched": is_searched,
        },
        version_key="rknn.tune",
        version=version("rknn.tune"),
        toolchains=("core", target.toolchain),
        work=lambda: (
            samples_work(params),
            job(target.toolchain, "pipelines.backends.rknn.jobs.foretell", params),
        ),
    )
