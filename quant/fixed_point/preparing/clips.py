"""Bounds in the one form that lowering takes in: Relu, or Clip with constant bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from quant.fixed_point.preparing.edit import (
    Shapes,
    is_a,
    number,
    only_maker,
    repeat,
    static_shapes,
)
from quant.graph.graph import Graph, attribute
from quant.graph.operators import label

_NO_BOUND = 1e30  # exporters write the largest float, or infinity


@dataclass(frozen=True)
class Clipping:
    """x, held between low and high; None for no bound."""

    x: str
    low: float | None
    high: float | None

    @property
    def is_relu(self) -> bool:
        return self.low == 0 and self.high is None


def simplify_clips(graph: Graph) -> None:
    """Max and Min with a number become Clip, one Clip after another one Clip, [0, inf) Relu."""
    shapes = static_shapes(graph)
    repeat(lambda g, node: _rewrite(g, node, shapes), graph)


def clipping(graph: Graph, node: onnx.NodeProto | None, shapes: Shapes) -> Clipping | None:
    """What a Relu, Clip, Max or Min clips to; None for others, and for bounds not constant."""
    if node is None or not is_a(node, "Relu", "Clip", "Max", "Min"):
        return None
    if node.op_type == "Relu":
        return Clipping(node.input[0], 0.0, None)
    if node.op_type == "Clip":
        return _clip(graph, node)
    for i, x in enumerate(node.input[:2]):
        bound = number(graph, node, 1 - i) if len(node.input) == 2 else None
        # A bound of more axes than x would add axes to it.
        is_kept = x in shapes and shapes[x] == shapes.get(node.output[0])
        if bound is not None and is_kept:
            is_max = node.op_type == "Max"
            return Clipping(x, bound if is_max else None, None if is_max else bound)
    return None


def _clip(graph: Graph, node: onnx.NodeProto) -> Clipping | None:
    bounds: list[float | None] = []
    for position, name in ((1, "min"), (2, "max")):
        if graph.opset < 11:
            given = attribute(node, name)
            bound = given if isinstance(given, float) else None
        else:
            bound = number(graph, node, position)
            if bound is None and position < len(node.input) and node.input[position]:
                return None
        bounds.append(None if bound is None or abs(bound) > _NO_BOUND else bound)
    return Clipping(node.input[0], bounds[0], bounds[1])


def _rewrite(graph: Graph, node: onnx.NodeProto, shapes: Shapes) -> bool:
    own = clipping(graph, node, shapes)
    if own is None:
        return False
    before = only_maker(graph, own.x)
    inner = clipping(graph, before, shapes)
    if before is not None and inner is not None:
        joined = Clipping(inner.x, _held(inner.low, own, -1), _held(inner.high, own, 1))
        graph.replace([before, node], [_made(graph, node, joined)])
        return True
    if node.op_type == ("Relu" if own.is_relu else "Clip"):
        return False
    graph.replace([node], [_made(graph, node, own)])
    return True


def _held(bound: float | None, outer: Clipping, side: int) -> float | None:
    """The bound after the outer clip too. side: -1 for a lower one, 1 for an upper."""
    value = side * np.inf if bound is None else bound
    low = -np.inf if outer.low is None else outer.low
    high = np.inf if outer.high is None else outer.high
    held = float(min(max(value, low), high))
    return held if np.isfinite(held) else None


def _made(graph: Graph, node: onnx.NodeProto, given: Clipping) -> onnx.NodeProto:
    name, outputs = label(node), [node.output[0]]
    if given.is_relu:
        return helper.make_node("Relu", [given.x], outputs, name)
    bounds = {"min": given.low, "max": given.high}
    if graph.opset < 11:
        written: dict[str, Any] = {key: bound for key, bound in bounds.items() if bound is not None}
        return helper.make_node("Clip", [given.x], outputs, name, **written)
    inputs = [given.x]
    for key, bound in bounds.items():
        value = None if bound is None else np.array(bound, np.float32)
        hint = f"{node.output[0]}.{key}"
        inputs.append("" if value is None else graph.add_constant(hint, value))
    return helper.make_node("Clip", inputs, outputs, name)
