"""From a step's parameters to the arguments of the SDK's `config`, `load_*` and `build`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.backends.rknn.params import RknnParams
from pipelines.backends.rknn.sdk import quantized_source
from pipelines.backends.rknn.sdk.api import Sdk
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from quant.conversion import normalized_inputs
from quant.graph.file import parse, read, save
from quant.graph.types import input_types
from quant.samples.input import Input

# What the SDK is told to load. Through /proc, because NAME.data holds the path as it was given,
# and this one is the same in every folder; the SDK names its files after it.
SUFFIXES = {"onnx": ".onnx", "torchscript": ".pt", "tflite": ".tflite"}


def place_model(job: Job[RknnParams]) -> Path:
    """Make the model stand in the scratch folder as `model.onnx` (or .pt, .tflite).

    The SDK ignores mean and std of an input that is not 4-D: they go into the graph. Raises Refusal
    where the SDK reads another format than ONNX itself.
    """
    params, source = job.params, job.inputs["model"]
    quantized_source.require(params, source)
    place = (job.scratch / "model").with_suffix(SUFFIXES[params.source_kind])
    names = _ignored(params, source)
    if names and params.source_kind != "onnx":
        raise Refusal(
            f"the SDK ignores mean and std of an input that is not 4-D: `{names[0]}`",
            "delete them and give normalised data, or leave out `load: direct`: npumake then puts "
            "them into the graph",
        )
    if names:
        model = normalized_inputs.normalized(read(source), names, params.inputs)
        save(model, place)
        print(f"mean and std of {', '.join(names)} are nodes of the graph: not 4-D")
    else:
        place.symlink_to(source)
    return place


def _ignored(params: RknnParams, source: Path) -> list[str]:
    """Inputs whose mean and std the SDK would not apply."""
    told = params.inputs
    if not any(one.is_normalized for one in told.values()):
        return []
    if params.source_kind == "onnx":
        shapes = {name: t.shape for name, t in input_types(parse(source, source.name)).items()}
    else:
        shapes = {name: one.shape for name, one in told.items() if one.shape}
    return normalized_inputs.ignored(shapes, told)


def input_names(params: RknnParams, model: Path) -> list[str]:
    """The inputs in the order in which the SDK takes them. Raises Fault on what is no ONNX."""
    return end_names(params, model)[0]


def end_names(params: RknnParams, model: Path) -> tuple[list[str], list[str]]:
    """Inputs and outputs as the compiled network should have them.

    Outputs are empty where the format is not read here. Raises Fault on what is no ONNX.
    """
    inputs, outputs = (list(params.rknn.get(key) or ()) for key in ("inputs", "outputs"))
    if params.source_kind != "onnx":
        return inputs or list(params.inputs), []
    if not (inputs and outputs):
        network = parse(model, model.name)
        inputs = inputs or list(input_types(network))
        outputs = outputs or [value.name for value in network.graph.output]
    return inputs, outputs


def config_options(params: RknnParams, names: Sequence[str], source: Path) -> dict[str, Any]:
    """Arguments of RKNN.config: the recipe's own nouns, then its `quantize.rknn` as written.

    source: the model as it was given to `place_model`.
    """
    quantize = params.quantize
    options: dict[str, Any] = {"target_platform": params.platform}
    in_graph = _ignored(params, source)
    told = {name: one for name, one in params.inputs.items() if name not in in_graph}
    declared = [told.get(name, Input()) for name in names]
    if any(given.is_normalized for given in declared):
        options["mean_values"] = [_per_channel(given, given.mean, 0) for given in declared]
        options["std_values"] = [_per_channel(given, given.std, 1) for given in declared]
    if is_quantized(params):
        options["quantized_dtype"] = quantize.dtype
        options["quantized_algorithm"] = quantize.algorithm
        options["quantized_method"] = quantize.method
    return {**options, **quantize.rknn}


def _per_channel(given: Input, told: Sequence[float] | None, default: float) -> list[float] | None:
    """One number a channel, as the SDK wants them; None for an input that is taken as it is."""
    if not given.is_normalized:
        return None
    channels = max(len(given.mean or ()), len(given.std or ()))
    if channels == 1 and given.shape is not None and len(given.shape) > 1:
        channels = given.shape[1]
    values = told or [default]
    return list(values) * channels if len(values) == 1 else list(values)


def is_quantized(params: RknnParams) -> bool:
    """Whether the SDK quantizes; float16 stays float, prequantized already is."""
    return params.quantize.is_done_here


def load_options(params: RknnParams) -> dict[str, Any]:
    """Arguments of `load_*` besides the model, as JSON data."""
    options = {
        key: value for key, value in params.rknn.items() if key != "load" and value is not None
    }
    if params.source_kind == "torchscript":
        shapes = [list(given.shape or ()) for given in params.inputs.values()]
        options.setdefault("input_size_list", shapes)
    return options


def load(sdk: Sdk, params: RknnParams, model: Path) -> None:
    """Hand the model to the SDK. Raises Refusal."""
    path = f"/proc/self/cwd/{model.name}"
    options = load_options(params)
    if options.get("input_initial_val") is not None:
        options["input_initial_val"] = [
            None if value is None else np.asarray(value, np.float32)
            for value in options["input_initial_val"]
        ]
    if params.source_kind == "torchscript":
        sdk.load_torchscript(path, **options)
    elif params.source_kind == "tflite":
        sdk.load_tflite(path, **options)
    else:
        sdk.load_onnx(path, **options)


def step1_options(params: RknnParams) -> dict[str, Any]:
    """Arguments of hybrid_quantization_step1 besides the data."""
    return {**_batch(params), **params.quantize.hybrid}


def build_options(params: RknnParams, dataset: str | None) -> dict[str, Any]:
    """Arguments of RKNN.build. dataset: the file that lists the calibration data, if any."""
    options: dict[str, Any] = {"do_quantization": is_quantized(params), **_batch(params)}
    if is_quantized(params):
        options["dataset"] = dataset
        if params.build.auto_hybrid:  # 2.3.0 and 2.2.0 know no such argument
            options["auto_hybrid"] = True
    return options


def _batch(params: RknnParams) -> dict[str, Any]:
    size = params.quantize.rknn_batch_size
    return {} if size is None else {"rknn_batch_size": size}
