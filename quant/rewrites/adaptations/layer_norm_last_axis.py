"""The rule that writes a LayerNormalization as the SDK reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import onnx

from quant.graph.graph import Graph, attribute
from quant.graph.operators import OWN_DOMAINS
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 50

# onnx's own defaults.
_AXIS, _EPSILON = -1, 1e-5
# The SDK normalizes over so many axes itself; over three it fails to reshape.
_MOST_AXES = 2


class LayerNormLastAxis(Rule[Match]):
    """Writes a LayerNormalization's defaults out, and flattens three or more axes to one.

    rknn-toolkit2 asks every LayerNormalization for `axis` and `epsilon`, which exporters leave out
    where they are -1 and 1e-5, and refuses one over [C, H, W]. Of such the input becomes
    [N, C * H * W] before, and the output has its shape again behind.

    Exact: the outputs are identical bit for bit, for the numbers and their order are the same.
    """

    rounding = 0.0

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            if node.op_type != "LayerNormalization" or node.domain not in OWN_DOMAINS:
                continue
            written = {held.name for held in node.attribute}
            if not {"axis", "epsilon"} <= written or _axes(graph, node) > _MOST_AXES:
                yield Match((node,))

    def check(self, graph: Graph, match: Match) -> Verdict:
        (node,) = match.nodes
        if _axes(graph, node) <= _MOST_AXES:
            return Verdict.yes()
        found = graph.type(node.input[0])
        if found is None or not found.is_static:
            return Verdict.no("its input's shape is not known", node)
        if any(node.output[1:]):
            return Verdict.no("its mean or deviation is an output too", node)
        if any(graph.constant(name) is None for name in node.input[1:] if name):
            return Verdict.no("its scale or bias is not constant", node)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        (node,) = match.nodes
        nodes = _flattened(graph, node) if _axes(graph, node) > _MOST_AXES else [_written(node)]
        graph.replace(match.nodes, nodes)
        return tuple(nodes)


def _axes(graph: Graph, node: onnx.NodeProto) -> int:
    """Over how many axes it normalizes; 1 where that is not known."""
    axis = cast(int, attribute(node, "axis", _AXIS))
    if axis < 0:
        return -axis
    found = graph.type(node.input[0])
    return len(found.shape) - axis if found is not None and found.shape is not None else 1


def _written(node: onnx.NodeProto, axis: int | None = None) -> onnx.NodeProto:
    made = onnx.NodeProto()
    made.CopyFrom(node)
    kept = [held for held in node.attribute if held.name not in ("axis", "epsilon")]
    del made.attribute[:]
    number = attribute(node, "axis", _AXIS) if axis is None else axis
    epsilon = attribute(node, "epsilon", _EPSILON)
    made.attribute.extend(
        [
            *kept,
            onnx.helper.make_attribute("axis", number),
            onnx.helper.make_attribute("epsilon", epsilon),
        ]
    )
    return made


def _flattened(graph: Graph, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    found = graph.type(node.input[0])
    if found is None:
        raise ValueError(f"the shape of `{node.input[0]}` is not known")
    shape = found.static_shape
    kept = shape[: len(shape) - _axes(graph, node)]
    before, back = (
        graph.add_constant(f"{node.output[0]}.{hint}", np.array(lengths, np.int64))
        for hint, lengths in (("flat", (*kept, -1)), ("shape", shape))
    )
    flat, normal = (graph.fresh_tensor(f"{node.output[0]}.{n}") for n in ("flat", "normal"))
    made = _written(node, axis=-1)
    made.input[0], made.output[:] = flat, [normal]
    for index, name in enumerate(node.input[1:], 1):
        value = graph.constant(name) if name else None
        if value is not None:
            wide = np.broadcast_to(value, shape[len(kept) :]).ravel()
            made.input[index] = graph.add_constant(f"{name}.flat", wide)
    reshape = onnx.helper.make_node
    return [
        reshape("Reshape", [node.input[0], before], [flat], flat),
        made,
        reshape("Reshape", [normal, back], [node.output[0]], f"{node.output[0]}.back"),
    ]
