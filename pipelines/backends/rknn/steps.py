"""The Rockchip backend: quantize = hybrid step 1, build = hybrid step 2, analyze = simulator.

Source of the cut: the SDK refuses a step 2 whose `config` differs from step 1's, so every option of
RKNN.config belongs to quantize, and only the hybrid layers are build's.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from pipelines.backends.rknn.file.dtypes import PREQUANTIZED
from pipelines.backends.rknn.recipe.options import Runtime, options
from pipelines.recipe.define.model import Recipe, Samples, Target
from pipelines.stages.stage import (
    Step,
    Work,
    built,
    cut_inputs,
    data_inputs,
    evaluate_inputs,
    in_folder,
    job,
    listed_inputs,
    report_outputs,
    samples_work,
    step_of,
    target_sections,
)
from quant.fault import Fault
from quant.rknn import leaks as rknn_leaks

if TYPE_CHECKING:
    from pipelines.backends.rknn.params import RknnParams


def steps(recipe: Recipe, target: Target, root: Path) -> list[Step]:
    """The target's steps, in order."""
    one_call = is_one_call(target)
    quantize = [] if one_call else [quantize_step(recipe, target, root)]
    asked = options(target).runtime
    runtime = [] if asked is None else [_runtime(recipe, target, asked)]
    return [
        *quantize,
        build_step(recipe, target, root),
        analyze_step(recipe, target, root),
        *runtime,
    ]


def is_one_call(target: Target) -> bool:
    """Whether the SDK's single `build` must make the file: no step 1 exists for these."""
    quantize = options(target).quantize
    return (
        not quantize.is_done_here
        or options(target).build.auto_hybrid
        or quantize.algorithm == "gdq"
        or bool(quantize.rknn.get("dynamic_input"))
        or has_yuv_inputs(target)
    )


def has_yuv_inputs(target: Target) -> bool:
    """Whether the file takes an image as its Y and UV planes. Step 2 forgets the option."""
    return any(options(target).quantize.rknn.get("inputs_yuv_fmt") or ())


def is_direct(target: Target) -> bool:
    """Whether the SDK loads the source itself, so that simplify is skipped."""
    return options(target).load.get("load") == "direct"


def network(recipe: Recipe, target: Target) -> str:
    """What the SDK loads."""
    if is_direct(target):
        return in_folder(recipe, recipe.source.file)
    return built(recipe, "simplify/model.onnx")


_CONTROL = "compiler_control_file"  # the one option of RKNN.config that names a file


def _control_input(recipe: Recipe, target: Target) -> dict[str, str]:
    file = options(target).quantize.rknn.get(_CONTROL)
    return {_CONTROL: in_folder(recipe, file)} if file else {}


P = TypeVar("P", bound="RknnParams")


def job_params(
    kind: type[P], recipe: Recipe, target: Target, samples: Samples | None = None, **more: Any
) -> P:
    """more: what this kind has beside RknnParams' fields."""
    quantize = options(target).quantize
    if file := quantize.rknn.get(_CONTROL):
        placed = {_CONTROL: f"in/{_CONTROL}{PurePosixPath(file).suffix}"}
        quantize = dataclasses.replace(quantize, rknn={**quantize.rknn, **placed})
    return kind(
        target=target.name,
        platform=target.platform or "",
        source_kind=recipe.source.kind if is_direct(target) else "onnx",
        inputs=recipe.inputs,
        quantize=quantize,
        build=options(target).build,
        rknn=options(target).load,
        samples=samples,
        **more,
    )


def _toolchains(target: Target) -> tuple[str, ...]:
    """Of the target's data, and of its SDK."""
    return ("core", target.toolchain)


def quantize_step(recipe: Recipe, target: Target, root: Path) -> Step:
    calibration = target.calibration

    def work() -> tuple[Work, ...]:
        from pipelines.backends.rknn.params import RknnParams

        params = job_params(RknnParams, recipe, target, calibration)
        return (
            samples_work(params),
            job(target.toolchain, "pipelines.backends.rknn.jobs.quantize", params),
        )

    return step_of(
        recipe,
        "quantize",
        target.name,
        inputs={
            "model": network(recipe, target),
            **_control_input(recipe, target),
            **data_inputs(recipe, calibration, root),
        },
        outputs={"quantize": built(recipe, f"{target.name}/quantize")},
        sections=target_sections(recipe, target.name, "inputs", "quantize", "rknn", "platform"),
        version_key="rknn.quantize",
        toolchains=_toolchains(target),
        work=work,
    )


def build_step(recipe: Recipe, target: Target, root: Path) -> Step:
    needs_data = is_one_call(target) and options(target).quantize.is_done_here
    samples = target.calibration if needs_data else None
    name = target.name
    if is_one_call(target):
        inputs = {"model": network(recipe, target), **data_inputs(recipe, samples, root)}
        read = target_sections(
            recipe, target.name, "inputs", "quantize", "rknn", "platform", "build"
        )
    else:
        # quantize/ holds the exact config, so its content stands for those sections.
        inputs = {"quantize": built(recipe, f"{name}/quantize")}
        read = target_sections(recipe, target.name, "build")
    inputs |= _control_input(recipe, target)

    def work() -> tuple[Work, ...]:
        from pipelines.backends.rknn.params import RknnParams

        params = job_params(RknnParams, recipe, target, samples)
        prepare = (samples_work(params),) if samples else ()
        needed = rknn_leaks.environment(params.platform)
        return (
            *prepare,
            job(target.toolchain, "pipelines.backends.rknn.jobs.build", params, needed),
        )

    step = step_of(
        recipe,
        "build",
        target.name,
        inputs=inputs,
        outputs={file: built(recipe, f"{name}/{file}") for file in _artifacts(target)},
        sections=read,
        version_key="rknn.build",
        toolchains=_toolchains(target) if samples else (target.toolchain,),
        work=work,
    )
    return dataclasses.replace(step, is_kept=True)


def _artifacts(target: Target) -> list[str]:
    """Files and folders that build makes for this target's options."""
    return ["model.rknn", "build.json", *(["cpp"] if options(target).build.cpp_gen_cfg else [])]


def artifacts(recipe: Recipe, target: Target) -> dict[str, str]:
    """Kind -> name of each file that build makes for use elsewhere."""
    return {"rknn": "model.rknn"}


REPORTS = ("layers.json", "layers.csv", "error_analysis.txt", "metrics.json", "bytes.json")


RANDOM_SAMPLES = 2  # where the recipe names no data: one takes some seconds


def analyze_step(recipe: Recipe, target: Target, root: Path) -> Step:
    samples = target.analyze.samples
    evaluate = evaluate_inputs(recipe, recipe.evaluate)
    inputs = _inputs_again(recipe, target, samples, root, evaluate)

    def work() -> tuple[Work, ...]:
        from pipelines.backends.rknn.params import AnalyzeParams

        params = job_params(
            AnalyzeParams,
            recipe,
            target,
            samples,
            calibration=calibration_again(target, samples),
            evaluate=recipe.evaluate,
            random=RANDOM_SAMPLES,
            sdk_analysis=target.analyze.sdk,
        )
        return _work_again(target, params, "pipelines.backends.rknn.jobs.analyze")

    paths = ("inputs", "rknn", "analyze", "evaluate", "quantize.calibration")
    step = step_of(
        recipe,
        "analyze",
        target.name,
        inputs=inputs,
        outputs=report_outputs(recipe, target.name, REPORTS),
        sections=target_sections(recipe, target.name, *paths),
        version_key="rknn.analyze",
        toolchains=_toolchains(target),
        work=work,
    )
    return dataclasses.replace(step, goes_on="build")


def calibration_again(target: Target, samples: Samples | None) -> Samples | None:
    """What compiling again needs beside `samples`: one call quantized the file with other data."""
    is_compiled_from_data = is_one_call(target) and options(target).quantize.is_done_here
    is_other = is_compiled_from_data and target.calibration != samples
    return target.calibration if is_other else None


def _inputs_again(
    recipe: Recipe,
    target: Target,
    samples: Samples | None,
    root: Path,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Inputs of a step that compiles again what build did, and runs samples through it."""
    inputs = {
        **compiled_inputs(recipe, target),
        "model": network(recipe, target),
        **data_inputs(recipe, samples, root),
        **(more or {}),
    }
    if options(target).quantize.dtype == PREQUANTIZED:
        del inputs["float"]
    if calibration := calibration_again(target, samples):
        inputs |= _renamed(data_inputs(recipe, calibration, root))
    return inputs


def _work_again(target: Target, params: RknnParams, module: str) -> tuple[Work, ...]:
    """The jobs of such a step: the data, then `module`."""
    from pipelines.stages.samples.jobs.params import CalibrationParams

    prepare = [samples_work(params)]
    if params.calibration:
        prepare.append(samples_work(params, "calibration", CalibrationParams))
    return (*prepare, job(target.toolchain, module, params))


def _runtime(recipe: Recipe, target: Target, runtime: Runtime) -> Step:
    inputs = {"artifact.rknn": built(recipe, f"{target.name}/model.rknn")}
    if runtime.librknnrt:
        inputs["librknnrt.so"] = in_folder(recipe, runtime.librknnrt)
    return step_of(
        recipe,
        "runtime",
        target.name,
        inputs=inputs,
        outputs={"runtime.json": built(recipe, f"{target.name}/runtime.json")},
        version_key="rknn.runtime",
        toolchains=("core",),
        work=lambda: (job("core", "pipelines.backends.rknn.jobs.runtime", {}),),
    )


def compiled_inputs(recipe: Recipe, target: Target) -> dict[str, str]:
    """What build made and had, for a job that compiles the same again, and the float network."""
    one_call = is_one_call(target)
    model = network(recipe, target) if one_call else built(recipe, f"{target.name}/quantize")
    return {
        "model" if one_call else "quantize": model,
        "build.json": built(recipe, f"{target.name}/build.json"),
        "artifact.rknn": built(recipe, f"{target.name}/model.rknn"),
        "float": built(recipe, "export/model.onnx"),
        **({} if is_direct(target) else cut_inputs(recipe)),
        **_control_input(recipe, target),
    }


# Of the user's environment, what adb needs to find its server and keys.
_ADB = ("HOME", "ADB_VENDOR_KEYS", "ANDROID_ADB_SERVER_PORT")


def infer_step(
    recipe: Recipe, target: Target, listing: str, files: Sequence[str], device: str = ""
) -> Step:
    """A step outside the plan: the files that `listing` names through float and simulator.

    listing and files: paths relative to the project. device: a board, as adb names it, in the
    simulator's place. Raises Fault for a network that there is no float one of.
    """
    if is_direct(target) and options(target).quantize.dtype == PREQUANTIZED:
        raise Fault(
            f"{recipe.model}@{target.name} has no float network to run beside it: "
            "its source is quantized, and the SDK reads it itself",
            "give the float network as the source to see the two side by side",
        )
    from pipelines.backends.rknn.params import BoardParams, RknnParams

    listed = Samples(list=listing)
    params: RknnParams = job_params(RknnParams, recipe, target, listed)
    if device:
        params = job_params(BoardParams, recipe, target, listed, device=device)
    module = f"pipelines.backends.rknn.jobs.{'board' if device else 'infer'}"
    known = {name: os.environ[name] for name in _ADB if device and name in os.environ}
    ran = f"{'board' if device else 'simulator'}.npz"
    return step_of(
        recipe,
        "infer",
        target.name,
        inputs={**compiled_inputs(recipe, target), **listed_inputs(listing, files)},
        outputs=dict.fromkeys(("comparison.json", "float.npz", ran), ""),
        version_key="rknn.analyze",
        toolchains=_toolchains(target),
        work=lambda: (
            samples_work(params),
            job(target.toolchain, module, params, known),
        ),
    )


_REFERENCES = 3  # samples that a board's program can be tested with


def handoff_step(recipe: Recipe, target: Target, root: Path) -> Step:
    """A step outside the plan: references for the board's program, of the samples of analyze."""
    samples = target.analyze.samples or target.calibration
    if samples is not None:
        samples = dataclasses.replace(samples, samples=None, at_most=_REFERENCES)

    def work() -> tuple[Work, ...]:
        from pipelines.backends.rknn.params import RknnParams

        params = job_params(
            RknnParams,
            recipe,
            target,
            samples,
            calibration=calibration_again(target, samples),
            random=_REFERENCES,
        )
        return _work_again(target, params, "pipelines.backends.rknn.jobs.handoff")

    return step_of(
        recipe,
        "handoff",
        target.name,
        inputs=_inputs_again(recipe, target, samples, root),
        outputs=dict.fromkeys(("references", "references.json"), ""),
        version_key="rknn.analyze",
        toolchains=_toolchains(target),
        work=work,
    )


def _renamed(inputs: dict[str, str]) -> dict[str, str]:
    return {f"calibration/{name}": path for name, path in inputs.items()}
