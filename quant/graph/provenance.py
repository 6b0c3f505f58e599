"""What exporters write into a graph about the machine and the code it came from."""

from __future__ import annotations

from typing import Any

import onnx

from quant.graph.operators import nodes, subgraphs


def strip_provenance(model: onnx.ModelProto) -> None:
    """Remove doc strings and metadata of the model, its graphs, nodes and tensors, in place.

    torch's dynamo exporter puts stack traces there, with paths; tf2onnx a counter of functions.
    Neither is part of what the graph computes, and the same source would give other bytes
    elsewhere.
    """
    _clear(model)
    _strip(model.graph)
    for node in nodes(model.graph):
        _clear(node)
        for inner in subgraphs(node):
            _strip(inner)
    for function in model.functions:
        for part in (function, *function.node):
            _clear(part)


def _strip(graph: onnx.GraphProto) -> None:
    for part in (graph, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        _clear(part)


def _clear(part: Any) -> None:
    part.ClearField("doc_string")
    part.ClearField("metadata_props")
