"""Softmax in operators that give the same floats on every processor with fused multiply-add.

onnxruntime's own Softmax and LogSoftmax add in blocks of the processor's vector length, whether the
graph is optimized or not: on AVX-512 their last bits are others than on AVX2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import onnx
from onnx import helper

from quant.graph.graph import Graph, attribute


def without_softmax(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each Softmax and LogSoftmax written out; as it is where there is none."""
    graph = Graph(model, is_copied=False)
    found = [node for node in graph.nodes if node.op_type in ("Softmax", "LogSoftmax")]
    if not found:
        return model
    for node in found:
        if (axes := _axes(graph, node)) is not None:
            graph.replace([node], _written_out(graph, node, axes))
    return graph.to_model()


def _axes(graph: Graph, node: onnx.NodeProto) -> Sequence[int] | None:
    """Those that are added over; None where the rank has to be known, and is not."""
    if graph.opset >= 13:
        return [cast(int, attribute(node, "axis", -1))]
    type_ = graph.type(node.input[0])
    rank = len(type_.shape or ()) if type_ else 0
    return range(cast(int, attribute(node, "axis", 1)) % rank, rank) if rank else None


def _written_out(graph: Graph, node: onnx.NodeProto, axes: Sequence[int]) -> list[onnx.NodeProto]:
    x, y = node.input[0], node.output[0]
    largest, low, power, total = (
        graph.fresh_tensor(f"{y}.{name}") for name in ("largest", "low", "power", "total")
    )
    made = [
        _reduced(graph, "ReduceMax", x, largest, axes, since=18),
        helper.make_node("Sub", [x, largest], [low]),
        helper.make_node("Exp", [low], [power]),
        _reduced(graph, "ReduceSum", power, total, axes, since=13),
    ]
    if node.op_type == "Softmax":
        return [*made, helper.make_node("Div", [power, total], [y])]
    logarithm = graph.fresh_tensor(f"{y}.log")
    return [
        *made,
        helper.make_node("Log", [total], [logarithm]),
        helper.make_node("Sub", [low, logarithm], [y]),
    ]


def _reduced(
    graph: Graph, operator: str, x: str, y: str, axes: Sequence[int], *, since: int
) -> onnx.NodeProto:
    """since: the opset from which on axes are an input."""
    if graph.opset < since:
        return helper.make_node(operator, [x], [y], axes=axes, keepdims=1)
    name = graph.add_constant(f"{y}.axes", np.array(axes, np.int64))
    return helper.make_node(operator, [x, name], [y], keepdims=1)
