"""The float ONNX network, which every backend's result is held against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pipelines.stages.samples.jobs.params import DataParams
from quant.execution.run import FloatRun
from quant.fault import Fault
from quant.graph.file import read
from quant.graph.types import TensorType, input_types, shape_text
from quant.samples.input import Input
from quant.samples.normalize import normalize

Array = NDArray[Any]
Outputs = dict[str, Array]


class FloatNetwork:
    """The float ONNX model; takes samples as stages.samples writes them."""

    def __init__(self, model: Path, params: DataParams, outputs: Sequence[str]) -> None:
        """params: the job's; the float network expects its inputs' mean and std applied.

        outputs: further tensors to return where the network has them inside: a compiled network
        may end earlier.
        """
        network = read(model)
        self._types = input_types(network)
        self._recipe = params.inputs
        self._channel_axis = -1 if params.source_kind == "tflite" else 1
        expose(network.graph, outputs)
        self._run = FloatRun(network)

    def __call__(self, names: Sequence[str], arrays: Sequence[Array]) -> Outputs:
        """Output name -> array. Raises Fault on samples that don't fit."""
        return self.run(self.feeds(names, arrays))

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self._types)

    def run(self, feeds: Outputs) -> Outputs:
        """Output name -> array, of inputs as `feeds` makes them."""
        return {name: np.asarray(array) for name, array in self._run(feeds).items()}

    def feeds(self, names: Sequence[str], arrays: Sequence[Array]) -> Outputs:
        """Input name -> array as the network takes it, mean and std applied."""
        given = dict(zip(names, arrays, strict=True))
        if set(given) != set(self._types):
            raise Fault(
                f"the float network takes {', '.join(self._types)}, the samples are for "
                f"{', '.join(given)}",
                "name the inputs as the source does",
            )
        return {name: self._fit(name, given[name], type_) for name, type_ in self._types.items()}

    def _fit(self, name: str, array: Array, type_: TensorType) -> Array:
        told = self._recipe.get(name, Input())
        if told.is_normalized:
            array = normalize(array, told.mean, told.std, self._channel_axis)
        for fitted in (array, *turned(array)):
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


def turned(array: Array) -> tuple[Array, ...]:
    """A 4-dimensional array as NCHW and as NHWC, for an exporter that changed the layout."""
    if array.ndim != 4:
        return ()
    return array.transpose(0, 3, 1, 2), array.transpose(0, 2, 3, 1)
