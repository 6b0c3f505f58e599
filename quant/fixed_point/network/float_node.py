"""Running the one node of a FloatNode in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from quant.execution.run import FloatRun
from quant.fixed_point.network.network import FloatNode


def run_float_node(operation: FloatNode, reals: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The node's output from its float inputs, by the names they bear in the node."""
    node = onnx.NodeProto.FromString(operation.node)
    graph = helper.make_graph(
        [node],
        "float",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape)
            for name, value in reals.items()
        ],
        [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in operation.constants.items()],
    )
    opset = helper.make_opsetid("", operation.opset)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    made: NDArray[Any] = FloatRun(model)(dict(reals))[node.output[0]]
    return made
