"""The compiled network in the SDK's simulator beside the float network in onnxruntime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pipelines.backends.rknn.sdk import Sdk
from pipelines.backends.rknn.sdk_samples import to_sdk
from quant.fault import Fault
from quant.graph_file import read
from quant.graph_run import FloatRun
from quant.graph_types import TensorType, input_types, shape_text
from quant.layer_error import Distance, over_samples
from quant.metrics import NotFinite, cosine, euclidean, max_abs_difference
from quant.normalize import normalize

Array = NDArray[Any]
Outputs = dict[str, Array]


class FloatNetwork:
    """The float ONNX model; takes samples as jobs.samples writes them."""

    def __init__(self, model: Path, params: Mapping[str, Any], outputs: Sequence[str]) -> None:
        """params: the job's; the float network expects its inputs' mean and std applied.

        outputs: further tensors to return where the network has them inside: a compiled network
        may end earlier.
        """
        network = read(model)
        self._types = input_types(network)
        self._recipe: Mapping[str, Mapping[str, Any]] = params["inputs"]
        self._channel_axis = -1 if params["source_kind"] == "tflite" else 1
        expose(network.graph, outputs)
        self._run = FloatRun(network)

    def __call__(self, names: Sequence[str], arrays: Sequence[Array]) -> Outputs:
        """Output name -> array. Raises Fault on samples that don't fit."""
        given = dict(zip(names, arrays, strict=True))
        if set(given) != set(self._types):
            raise Fault(
                f"the float network takes {', '.join(self._types)}, the samples are for "
                f"{', '.join(given)}",
                "name the inputs as the source does",
            )
        return {
            name: np.asarray(array)
            for name, array in self._run(
                {name: self._fit(name, given[name], type_) for name, type_ in self._types.items()}
            ).items()
        }

    def _fit(self, name: str, array: Array, type_: TensorType) -> Array:
        told = self._recipe.get(name) or {}
        if told.get("mean") is not None or told.get("std") is not None:
            array = normalize(array, told.get("mean"), told.get("std"), self._channel_axis)
        for fitted in (array, *_turned(array)):
            if type_.shape is None or fits(fitted.shape, type_):
                return np.ascontiguousarray(fitted, dtype=type_.dtype)
        raise Fault(
            f"input `{name}`: the sample is {shape_text(array.shape)}, the float network takes "
            f"{shape_text(type_.shape)}"
        )


def expose(graph: onnx.GraphProto, tensors: Sequence[str]) -> None:
    """Make tensors that nodes of the graph compute its outputs too."""
    known = {value.name for value in graph.output}
    inside = {name for node in graph.node for name in node.output}
    for name in tensors:
        if name in inside and name not in known:
            graph.output.append(onnx.ValueInfoProto(name=name))


def fits(shape: Sequence[int], type_: TensorType) -> bool:
    dims = type_.shape or ()
    return len(shape) == len(dims) and all(
        length == dim for length, dim in zip(shape, dims, strict=True) if isinstance(dim, int)
    )


def _turned(array: Array) -> tuple[Array, ...]:
    """A 4-dimensional array as NCHW and as NHWC, for an exporter that changed the layout."""
    if array.ndim != 4:
        return ()
    return array.transpose(0, 3, 1, 2), array.transpose(0, 2, 3, 1)


class Simulator:
    """A compiled network; takes the same samples."""

    def __init__(self, sdk: Sdk, outputs: Sequence[str], params: Mapping[str, Any]) -> None:
        """outputs: names, in the order of the .rknn file."""
        self._sdk = sdk
        self._params = params
        self._batch = params["quantize"]["rknn_batch_size"] or 1
        self.outputs = outputs
        sdk.start_simulator()

    def __call__(self, arrays: Sequence[Array]) -> Outputs:
        """Output name -> float32 array. Raises Fault where the SDK returns another number."""
        filled = [to_sdk(np.repeat(array, self._batch, axis=0), self._params) for array in arrays]
        found = self._sdk.infer(filled, ["nchw"] * len(filled))
        if len(found) != len(self.outputs):
            raise Fault(f"the simulator returned {len(found)} of {len(self.outputs)} outputs")
        return {
            name: array[: len(array) // self._batch] if array.ndim else array
            for name, array in zip(self.outputs, found, strict=True)
        }


@dataclass
class Comparison:
    """Differences of one output, sample by sample."""

    distances: list[Distance] = field(default_factory=list)
    largest: list[float] = field(default_factory=list)

    def add(self, expected: Array, actual: Array) -> None:
        try:
            distance = Distance(cosine(expected, actual), euclidean(expected, actual))
            difference = max_abs_difference(expected, actual)
        except NotFinite:
            distance, difference = Distance(float("nan"), float("nan")), float("nan")
        self.distances.append(distance)
        self.largest.append(difference)

    def summary(self) -> dict[str, Any]:
        """Worst and mean over the samples, as metrics.json holds them; null where not finite."""
        error = over_samples(self.distances)
        return {
            "finite": error.finite,
            "cosine": {"worst": error.cosine_worst, "mean": error.cosine_mean},
            "euclidean": {"worst": error.euclidean_worst, "mean": error.euclidean_mean},
            "max_abs_difference": max(self.largest) if error.finite else None,
        }


def compare(pairs: Iterable[tuple[Outputs, Outputs]]) -> tuple[dict[str, Any], list[str]]:
    """Summaries by output name, and findings on what can't be compared or isn't finite.

    pairs: for each sample what the float network and the simulator made of it. Where the SDK
    renamed every output, as it does with TorchScript, they are compared in order.
    """
    found: dict[str, Comparison] = {}
    findings: dict[str, None] = {}
    for expected, renamed in pairs:
        for name, array in _by_name(expected, renamed).items():
            if name not in expected:
                findings[f"output `{name}` is none of the float network's: not compared"] = None
                continue
            aligned = _aligned(array, expected[name].shape)
            if aligned is None:
                findings[
                    f"output `{name}` is {shape_text(array.shape)}, in the float network "
                    f"{shape_text(expected[name].shape)}: not compared"
                ] = None
                continue
            found.setdefault(name, Comparison()).add(expected[name], aligned)
    summaries = {name: one.summary() for name, one in found.items()}
    for name, summary in summaries.items():
        if not summary["finite"]:
            findings[f"output `{name}` holds NaN or infinities"] = None
    return summaries, list(findings)


def _by_name(expected: Outputs, actual: Outputs) -> Outputs:
    """What the simulator returned, by the float network's names."""
    if len(expected) != len(actual) or set(expected) & set(actual):
        return actual
    return dict(zip(expected, actual.values(), strict=True))


def _aligned(array: Array, shape: tuple[int, ...]) -> Array | None:
    """The array in another network's shape: lengths of 1 added or left out, or NCHW for NHWC.

    The SDK's `remove_reshape` drops a last Reshape, its TFLite loader turns the layout.
    """
    for turned in (array, *_turned(array)):
        if [n for n in turned.shape if n != 1] == [n for n in shape if n != 1]:
            return turned.reshape(shape)
    return None
