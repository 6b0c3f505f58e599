"""A float network whose channels are made unequal, without changing what it computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from quant.graph.graph import Graph, attribute

# Operators that a positive factor a channel goes through.
_PASSING = {"Relu", "Pad", "GlobalAveragePool", "Flatten", "Reshape"}
_LAYERS = {"Conv", "Gemm"}


def unbalance(model: onnx.ModelProto, seed: int, largest: int = 3) -> onnx.ModelProto:
    """Each channel between two layers times 2^e, e drawn from -largest to largest; exact.

    Raises ValueError where no two layers follow each other.
    """
    random, graph = np.random.default_rng(seed), Graph(model)
    pairs = [(node, after) for node in graph.nodes if (after := _next(graph, node)) is not None]
    if not pairs:
        raise ValueError("no two layers follow each other")
    made = onnx.ModelProto()
    made.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in made.graph.initializer}
    for first, second in pairs:
        count = numpy_helper.to_array(tensors[first.input[2]]).shape[0]
        factor = np.exp2(random.integers(-largest, largest + 1, count)).astype(np.float32)
        for name, axis in ((first.input[1], _axis(first, is_output=True)), (first.input[2], 0)):
            _scale(tensors[name], factor, axis)
        _scale(tensors[second.input[1]], 1 / factor, _axis(second, is_output=False))
    return made


def _next(graph: Graph, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """The one layer that reads a layer's channels."""
    if node.op_type not in _LAYERS:
        return None
    while True:
        readers = graph.consumers(node.output[0])
        if len(readers) != 1 or graph.is_output(node.output[0]):
            return None
        (node,) = readers
        if node.op_type in _LAYERS:
            return node
        if node.op_type not in _PASSING:
            return None


def _axis(layer: onnx.NodeProto, is_output: bool) -> int:
    """Which axis of a layer's weight counts its channels."""
    if layer.op_type == "Conv":  # [out, in a group, h, w]; a depthwise one's inputs are its outputs
        return 0 if is_output or attribute(layer, "group", 1) != 1 else 1
    return int(bool(attribute(layer, "transB", 0)) != is_output)


def _scale(tensor: onnx.TensorProto, factor: NDArray[Any], axis: int) -> None:
    value = numpy_helper.to_array(tensor)
    shape = [-1 if i == axis else 1 for i in range(value.ndim)]
    tensor.CopyFrom(numpy_helper.from_array(value * factor.reshape(shape), tensor.name))
