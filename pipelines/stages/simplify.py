"""simplify: onnxsim or onnxslim, exact rewrites, and a record of what changed."""

from __future__ import annotations

from pathlib import Path

from pipelines.recipe.definitions import CUTS
from pipelines.recipe.model import Recipe, Samples
from pipelines.stages.stage import Step, Work, built, data_inputs, plain, sections, version


def step(recipe: Recipe, root: Path) -> Step:
    calibration = _calibration(recipe)
    data = data_inputs(recipe, calibration, root)

    def work() -> tuple[Work, ...]:
        params = {
            "simplify": plain(recipe.simplify),
            "inputs": plain(recipe.inputs),
            "samples": plain(calibration),
            "evaluate": None,
        }
        prepare = (Work("core", "pipelines.jobs.samples", params),) if data else ()
        return (*prepare, Work("core", "pipelines.jobs.simplify", params))

    return Step(
        model=recipe.model,
        stage="simplify",
        target=None,
        folder=recipe.folder,
        inputs={"model": built(recipe, "export/model.onnx"), **data},
        outputs={file: built(recipe, f"simplify/{file}") for file in _artifacts(recipe)},
        sections=sections(recipe.raw, "simplify", "inputs", "quantize.calibration"),
        version_key="simplify",
        version=version("simplify"),
        toolchains=("core",),
        work=work,
    )


def _artifacts(recipe: Recipe) -> list[str]:
    """Files that simplify makes: also what it cuts off, where the recipe says so."""
    is_cut = not set(CUTS).isdisjoint(recipe.simplify.rewrite)
    tail = ["tail.onnx"] if is_cut else []
    return ["model.onnx", "changes.json", *tail]


def _calibration(recipe: Recipe) -> Samples | None:
    """The model's own calibration data, not a target's: simplify runs once a model."""
    return recipe.calibration
