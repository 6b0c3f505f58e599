"""HardSigmoid as converters spell it: a clip of x + 3 to [0, 6], over 6."""

from __future__ import annotations

import math

import onnx
from onnx import helper

from quant.fixed_point.preparing.clips import clipping
from quant.fixed_point.preparing.edit import (
    Shapes,
    is_a,
    number,
    only_maker,
    repeat,
    static_shapes,
)
from quant.graph.graph import Graph
from quant.graph.operators import label


def find_hard_gates(graph: Graph) -> None:
    """clip(x + 3, 0, 6) / 6 becomes HardSigmoid(x); x clip(x + 3, 0, 6) / 6 its product with x.

    Lowering makes one table of the product, HardSwish.
    """
    shapes = static_shapes(graph)
    repeat(lambda g, node: _rewrite(g, node, shapes), graph)


def _rewrite(graph: Graph, node: onnx.NodeProto, shapes: Shapes) -> bool:
    inner = _sixth_of(graph, node)
    if inner is None:
        return False
    gate = only_maker(graph, inner)
    if gate is None:
        return False
    found = _shifted_clip(graph, inner, shapes)
    if found is not None:
        x, old = found
        graph.replace([*old, node], [_hard_sigmoid(x, node.output[0], label(node))])
        return True
    if not is_a(gate, "Mul"):
        return False
    for position in (0, 1):
        found = _shifted_clip(graph, gate.input[position], shapes)
        if found is not None and found[0] == gate.input[1 - position]:
            x, old = found
            middle = graph.fresh_tensor(f"{node.output[0]}.gate")
            made = _hard_sigmoid(x, middle, f"{label(node)}.gate")
            product = helper.make_node("Mul", [x, middle], [node.output[0]], label(node))
            graph.replace([*old, gate, node], [made, product])
            return True
    return False


def _sixth_of(graph: Graph, node: onnx.NodeProto) -> str | None:
    """What a Div by 6, or a Mul by a sixth, reads."""
    if is_a(node, "Div") and number(graph, node, 1) == 6:
        return str(node.input[0])
    for position in (0, 1) if is_a(node, "Mul") else ():
        factor = number(graph, node, position)
        if factor is not None and math.isclose(factor, 1 / 6, rel_tol=1e-6):
            return str(node.input[1 - position])
    return None


def _shifted_clip(
    graph: Graph, tensor: str, shapes: Shapes
) -> tuple[str, tuple[onnx.NodeProto, ...]] | None:
    """x of clip(x + 3, 0, 6), and the two nodes, where nothing else reads them."""
    clip = only_maker(graph, tensor)
    given = clipping(graph, clip, shapes)
    if clip is None or given is None or (given.low, given.high) != (0, 6):
        return None
    add = only_maker(graph, given.x)
    if add is None or not is_a(add, "Add"):
        return None
    for position in (0, 1):
        if number(graph, add, position) == 3:
            return str(add.input[1 - position]), (add, clip)
    return None


def _hard_sigmoid(x: str, output: str, name: str) -> onnx.NodeProto:
    return helper.make_node("HardSigmoid", [x], [output], name, alpha=1 / 6, beta=0.5)
