"""What rules ask of a Conv, and change in it."""

from __future__ import annotations

from typing import cast

import onnx

from quant.graph.graph import Array, Graph, attribute
from quant.graph.operators import OWN_DOMAINS


def groups(conv: onnx.NodeProto) -> int:
    return int(cast(int, attribute(conv, "group", 1)))


def weight_shape(graph: Graph, node: onnx.NodeProto) -> tuple[int, ...] | None:
    """[out, in / groups, ...] of a Conv; None for other nodes, or where it is not known."""
    if node.op_type != "Conv" or node.domain not in OWN_DOMAINS:
        return None
    found = graph.type(node.input[1])
    return found.static_shape if found is not None and found.is_static else None


def multiplier(graph: Graph, node: onnx.NodeProto) -> int:
    """How many channels a depthwise Conv makes of each; 0 for any other node."""
    shape = weight_shape(graph, node)
    if shape is None or groups(node) == 1 or shape[1] != 1:
        return 0
    return shape[0] // groups(node)


def with_groups(conv: onnx.NodeProto, count: int) -> onnx.NodeProto:
    """A copy with another number of groups."""
    made = onnx.NodeProto()
    made.CopyFrom(conv)
    kept = [held for held in made.attribute if held.name != "group"]
    del made.attribute[:]
    made.attribute.extend([*kept, onnx.helper.make_attribute("group", count)])
    return made


def require_constant(graph: Graph, name: str) -> Array:
    """A weight that `check` found to be constant."""
    value = graph.constant(name)
    if value is None:
        raise ValueError(f"`{name}` is not constant, though `check` found it so")
    return value
