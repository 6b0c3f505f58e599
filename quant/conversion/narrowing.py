"""float64 networks in float32: NPUs compute in less, and onnxruntime has no float64 convolution."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from quant.execution.run import FloatRun
from quant.fault import Fault
from quant.graph.operators import nodes, subgraphs
from quant.graph.tensors import tensors

_WIDE, _NARROW = onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT
_TYPE_ATTRIBUTES = ("to", "dtype", "stash_type", "output_datatype")


def narrow(model: onnx.ModelProto) -> list[str]:
    """Make float64 tensors float32, in place, where an end is float64 or onnxruntime needs it.

    Returns a sentence where it did. Raises Fault on a weight beyond float32's range.
    """
    ends = (*model.graph.input, *model.graph.output)
    has_wide_end = any(value.type.tensor_type.elem_type == _WIDE for value in ends)
    is_wide = has_wide_end or any(t.data_type == _WIDE for t in tensors(model.graph))
    if not is_wide or not (has_wide_end or _is_refused(model)):
        return []
    for tensor in tensors(model.graph):
        if tensor.data_type == _WIDE:
            _narrow_tensor(tensor)
    _narrow_types(model.graph)
    return ["float64 is float32 here: the NPU computes in less"]


def _is_refused(model: onnx.ModelProto) -> bool:
    try:
        FloatRun(model)
    except Fault:
        return True
    return False


def _narrow_tensor(tensor: onnx.TensorProto) -> None:
    value = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        small = value.astype(np.float32)
    if not np.array_equal(np.isfinite(small), np.isfinite(value)):
        raise Fault(
            f"the float64 weight `{tensor.name}` holds {np.abs(value).max():.3g}, beyond float32",
            "export the network in float32",
        )
    name = tensor.name
    tensor.CopyFrom(numpy_helper.from_array(small, name))


def _narrow_types(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == _WIDE:
            value.type.tensor_type.elem_type = _NARROW
    for node in nodes(graph):
        for held in node.attribute:
            if held.name in _TYPE_ATTRIBUTES and held.i == _WIDE:
                held.i = _NARROW
        for inner in subgraphs(node):
            _narrow_types(inner)
