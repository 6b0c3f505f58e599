"""The float tensors of a graph, and a model that puts out what is inside of it."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from quant.graph.graph import Graph

_REALS = ("float16", "float32", "float64")


def float_tensors(graph: Graph) -> list[str]:
    """The float tensors that nodes compute, in order."""
    names = [name for node in graph.nodes for name in node.output if name]
    types = {name: graph.type(name) for name in names}
    return [name for name, type_ in types.items() if type_ and type_.dtype in _REALS]


def with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """The model with `names` as its only outputs."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.output[:]
    for name in names:
        made.graph.output.add().name = name
    return made
