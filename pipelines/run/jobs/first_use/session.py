"""onnxruntime makes its table of kernels, when it first loads a graph: 4 ms. No thread is left."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from quant.execution.run import FloatRun


def _smallest() -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([node], "smallest", values[:1], values[1:])
    opset = helper.make_opsetid("", 15)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


FloatRun(_smallest())
