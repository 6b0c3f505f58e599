"""export: any source becomes a checked ONNX file."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from pipelines.recipe.define.model import Recipe
from pipelines.stages.stage import Step, Work, built, in_folder, job, sections, step_of

# kind of source -> (toolchain, module of the job)
_EXPORTERS = {
    "onnx": ("core", "pipelines.stages.export.jobs.from_onnx"),
    "tflite": ("core", "pipelines.stages.export.jobs.from_tflite"),
    "torch": ("torch", "pipelines.stages.export.jobs.from_torch"),
    "torchscript": ("torch", "pipelines.stages.export.jobs.from_torch"),
    "keras": ("tensorflow", "pipelines.stages.export.jobs.from_tensorflow"),
    "saved_model": ("tensorflow", "pipelines.stages.export.jobs.from_tensorflow"),
}
CHECKER = ("core", "pipelines.stages.export.jobs.check_onnx")


# DVC takes dots and brackets apart, and reads other odd names otherwise.
_ADDRESSABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def step(recipe: Recipe, root: Path) -> Step:
    source = recipe.source
    exporter = _EXPORTERS[source.kind]
    inputs = {"source": in_folder(recipe, source.file)}
    if source.weights:
        inputs["weights"] = in_folder(recipe, source.weights)
    for file in (source.file, *source.dependencies):
        # A sibling module is imported, and external data found, by its own name.
        inputs[f"model/{posixpath.normpath(file)}"] = in_folder(recipe, file)

    def work() -> tuple[Work, ...]:
        from pipelines.stages.export.jobs.params import Declared, ExportParams

        params = ExportParams(
            source=source,
            constants=recipe.constants,
            inputs={name: Declared(each.shape, each.dtype) for name, each in recipe.inputs.items()},
            outputs=recipe.outputs,
        )
        return tuple(job(toolchain, module, params) for toolchain, module in (exporter, CHECKER))

    return step_of(
        recipe,
        "export",
        None,
        inputs=inputs,
        outputs={
            "model.onnx": built(recipe, "export/model.onnx"),
            "export.json": built(recipe, "export/export.json"),
        },
        sections=sections(recipe.raw, "source", "outputs", *_of_inputs(recipe)),
        version_key="export",
        toolchains=tuple(sorted({exporter[0], CHECKER[0]})),
        work=work,
    )


def _of_inputs(recipe: Recipe) -> list[str]:
    """What export reads of `inputs`: shapes and element types; another mean repeats nothing.

    All of it where an input has a value, where its name can't be told apart from a path, or where
    it has no shape: then nothing else would tell that the input is there.
    """
    names = list(recipe.inputs)
    is_told = all(_ADDRESSABLE.fullmatch(n) and recipe.inputs[n].shape is not None for n in names)
    if recipe.constants or not is_told:
        return ["inputs"]
    return [f"inputs.{name}.{key}" for name in names for key in ("shape", "dtype")]
