"""A graph's constant tensors: how many numbers they hold, and whether those are numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from quant.fault import Fault
from quant.graph.operators import label, nodes
from quant.graph.tensors import tensors

# 64-bit integers and booleans are what shapes, indices and axes are made of.
_NOT_PARAMETERS = {onnx.TensorProto.INT64, onnx.TensorProto.BOOL, onnx.TensorProto.STRING}
# These take an infinity for what it is: a bound that never binds, a mask, a padding.
_TAKES_INFINITY = {
    *("Add", "Clip", "Equal", "Greater", "GreaterOrEqual", "IsInf", "Less", "LessOrEqual"),
    *("Max", "Min", "Pad", "ScatterElements", "ScatterND", "Where"),
}


def constants(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Name and tensor of every initializer and of every Constant node, subgraphs included."""
    yield from _constants(model.graph)


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.HasField("t"):
                yield node.output[0], attribute.t
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _constants(inner)


def parameter_count(model: onnx.ModelProto) -> int:
    """Numbers held by constant tensors, those of shape arithmetic (int64, bool) left out."""
    held = (t for _, t in constants(model) if t.data_type not in _NOT_PARAMETERS)
    return sum(int(np.prod(tensor.dims, dtype=np.int64)) for tensor in held)


def is_half(model: onnx.ModelProto) -> bool:
    """Whether any constant, input, output or tensor of known type is float16."""
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info)
    types = [value.type.tensor_type.elem_type for value in values]
    types += [tensor.data_type for tensor in tensors(graph)]
    return onnx.TensorProto.FLOAT16 in types


def require_finite(model: onnx.ModelProto) -> None:
    """Raise Fault naming a weight that holds NaN, or infinity where none makes sense, and its user.

    rknn-toolkit2 builds NaN weights into a float16 file without a word.
    """
    for name, tensor in constants(model):
        array = _floats(tensor)
        if array is None or np.isfinite(array).all():
            continue
        users = [node for node in nodes(model.graph) if name in node.input]
        nan = int(np.isnan(array).sum())
        infinite = int(np.isinf(array).sum())
        if nan == 0 and all(node.op_type in _TAKES_INFINITY for node in users):
            continue
        node = f", used by {users[0].op_type} `{label(users[0])}`" if users else ""
        raise Fault(
            f"the weight `{name}`{node}, holds {nan} NaN and {infinite} infinite values "
            f"among {array.size}",
            "the training diverged or the file is damaged; export a healthy checkpoint",
        )


def _floats(tensor: onnx.TensorProto) -> npt.NDArray[Any] | None:
    if tensor.data_type == onnx.TensorProto.BFLOAT16:
        return np.asarray(numpy_helper.to_array(tensor), np.float32)
    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
    return numpy_helper.to_array(tensor) if tensor.data_type in kinds else None
