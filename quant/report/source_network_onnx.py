"""The source network of an ONNX model, for the reports of what was made of it."""

from __future__ import annotations

import onnx

from quant.graph.names import uses
from quant.graph.operators import label, operator
from quant.graph.weights import constants
from quant.report.source_network import Node, SourceNetwork, Weight


def read(model: onnx.ModelProto) -> SourceNetwork:
    """The main graph of a model. Constant nodes count as weights."""
    nodes = [_node(node) for node in model.graph.node if node.op_type != "Constant"]
    weights = {name: _weight(name, tensor) for name, tensor in constants(model)}
    return SourceNetwork(nodes, weights, [value.name for value in model.graph.output])


def _weight(name: str, tensor: onnx.TensorProto) -> Weight:
    floats = (
        *(onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16),
        onnx.TensorProto.BFLOAT16,
    )
    return Weight(name, tuple(tensor.dims), tensor.data_type in floats)


def _node(node: onnx.NodeProto) -> Node:
    group = next((one.i for one in node.attribute if one.name == "group"), 1)
    return Node(
        name=label(node),
        op=operator(node),
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        reads=frozenset(uses(node)),
        group=int(group),
    )
