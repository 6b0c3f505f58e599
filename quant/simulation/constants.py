"""A node's constant inputs as the simulator holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from quant.graph.graph import Graph, attribute
from quant.simulation import weights
from quant.simulation.step1 import Step1
from quant.simulation.unknown import Unknown

Array = npt.NDArray[Any]
_CONVOLUTIONS = ("Conv", "ConvTranspose")


class Constants:
    """Weights, biases and others, rounded where the network runs in integers."""

    def __init__(self, graph: Graph, step1: Step1) -> None:
        self._graph = graph
        self._parameters = step1.parameters
        self._is_per_channel = step1.is_per_channel
        self._spans: dict[tuple[str, int | None], weights.Span] = {}  # by name and axis

    def held(self, node: onnx.NodeProto, place: int, values: Array) -> Array:
        """Input number `place` of a node, a constant of these values. Raises Unknown."""
        name = node.input[place]
        if node.op_type in _CONVOLUTIONS and place > 0:
            return self._of_convolution(node, place, values)
        parameters = self._parameters.get(name)
        if parameters is None or values.dtype != np.float32:
            return values
        return parameters.rounded(values)

    def _of_convolution(self, node: onnx.NodeProto, place: int, values: Array) -> Array:
        source = self._parameters.get(node.input[0])
        if source is None or source.dtype != "int8":
            raise Unknown(f"{node.op_type} `{node.output[0]}` in {source and source.dtype}")
        name = node.input[1]
        shape = self._graph.constant_shape(name)
        if shape is None:
            raise Unknown(f"{node.op_type} `{node.output[0]}` has no constant weights")
        axis = _output_axis(node, shape) if self._is_per_channel else None
        if (name, axis) not in self._spans:
            filters = values if place == 1 else np.asarray(self._graph.constant(name))
            self._spans[name, axis] = weights.span(filters, axis)
        within = self._spans[name, axis]
        if place == 1:
            return weights.rounded(values, axis, within)
        return weights.rounded_bias(values, source.scale, weights.steps(within))


def _output_axis(node: onnx.NodeProto, shape: tuple[int, ...]) -> int:
    """Axis of the weights that has a step for each output channel."""
    if node.op_type == "Conv":
        return 0
    if attribute(node, "group", 1) == 1:
        return 1
    if shape[1] != 1:
        raise Unknown(f"ConvTranspose `{node.output[0]}` with groups of several channels")
    return 0
