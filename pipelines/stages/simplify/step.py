"""simplify: onnxsim or onnxslim, exact rewrites, and a record of what changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipelines.recipe.define.model import Recipe, Samples
from pipelines.stages.stage import (
    Step,
    Work,
    built,
    data_inputs,
    job,
    samples_work,
    sections,
    step_of,
)
from quant.rewrites.names import CUTS

# Enough to see a difference that random inputs don't show; each costs two runs of the network.
_PROOF = 8


def step(recipe: Recipe, root: Path) -> Step:
    calibration = recipe.calibration  # not a target's: simplify runs once a model
    data = data_inputs(recipe, calibration, root)

    def work() -> tuple[Work, ...]:
        from pipelines.stages.simplify.jobs.params import SimplifyParams

        params = SimplifyParams(
            simplify=recipe.simplify, inputs=recipe.inputs, samples=_first(calibration)
        )
        prepare = (samples_work(params),) if data else ()
        return (*prepare, job("core", "pipelines.stages.simplify.jobs.simplify", params))

    return step_of(
        recipe,
        "simplify",
        None,
        inputs={"model": built(recipe, "export/model.onnx"), **data},
        outputs={file: built(recipe, f"simplify/{file}") for file in _artifacts(recipe)},
        sections=sections(recipe.raw, "simplify", "inputs", "quantize.calibration"),
        version_key="simplify",
        toolchains=("core",),
        work=work,
    )


def _artifacts(recipe: Recipe) -> list[str]:
    """Files that simplify makes: also what it cuts off, where the recipe says so."""
    is_cut = not set(CUTS).isdisjoint(recipe.simplify.rewrite)
    tail = ["tail.onnx"] if is_cut else []
    return ["model.onnx", "changes.json", *tail]


def _first(calibration: Samples | None) -> Samples | None:
    """What the proof looks at; the number that the recipe wants is quantize's to find."""
    return calibration and replace(calibration, samples=None, at_most=_PROOF)
