"""Operators that only move numbers: those that move nothing go, and neighbours become one."""

from __future__ import annotations

from typing import cast

import numpy as np
import onnx
from onnx import helper

from quant.fixed_point.preparing.edit import (
    Shapes,
    bypass,
    is_a,
    only_maker,
    repeat,
    static_shapes,
)
from quant.graph.graph import Graph, attribute
from quant.graph.operators import label

_RESHAPING = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


def simplify_movement(graph: Graph) -> None:
    """Drop Identity, Dropout, and what keeps shape or order; join Reshapes, and Transposes."""
    shapes = static_shapes(graph)
    repeat(_drop_idle, graph)
    repeat(lambda g, node: _join_reshapes(g, node, shapes), graph)
    repeat(_join_transposes, graph)
    repeat(lambda g, node: _drop_still(g, node, shapes), graph)


def _drop_idle(graph: Graph, node: onnx.NodeProto) -> bool:
    if is_a(node, "Identity"):
        return bypass(graph, node)
    if not is_a(node, "Dropout") or any(map(graph.consumers, node.output[1:])):
        return False
    # Since opset 12 an input says whether it trains.
    trains = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else np.False_
    if trains is None or trains.any() or any(map(graph.is_output, node.output)):
        return False
    return bypass(graph, node)


def _join_reshapes(graph: Graph, node: onnx.NodeProto, shapes: Shapes) -> bool:
    """One Reshape to the last shape for two operators that keep the order of the elements."""
    before = only_maker(graph, node.input[0]) if is_a(node, *_RESHAPING) else None
    shape = shapes.get(node.output[0]) if before is not None else None
    if before is None or shape is None or 0 in shape or not is_a(before, *_RESHAPING):
        return False
    wanted = graph.add_constant(f"{node.output[0]}.shape", np.array(shape, np.int64))
    inputs = [before.input[0], wanted]
    graph.replace(
        [before, node], [helper.make_node("Reshape", inputs, [node.output[0]], label(node))]
    )
    return True


def _join_transposes(graph: Graph, node: onnx.NodeProto) -> bool:
    before = only_maker(graph, node.input[0]) if is_a(node, "Transpose") else None
    if before is None or not is_a(before, "Transpose"):
        return False
    first, second = (cast("list[int] | None", attribute(n, "perm")) for n in (before, node))
    if first is None or second is None:
        return False
    perm = [first[axis] for axis in second]
    inputs, outputs = [before.input[0]], [node.output[0]]
    made = helper.make_node("Transpose", inputs, outputs, label(node), perm=perm)
    graph.replace([before, node], [made])
    return True


def _drop_still(graph: Graph, node: onnx.NodeProto, shapes: Shapes) -> bool:
    if is_a(node, "Transpose"):
        perm = cast("list[int] | None", attribute(node, "perm"))
        return perm is not None and perm == sorted(perm) and bypass(graph, node)
    if not is_a(node, *_RESHAPING):
        return False
    shape = shapes.get(node.output[0])
    return shape is not None and shape == shapes.get(node.input[0]) and bypass(graph, node)
