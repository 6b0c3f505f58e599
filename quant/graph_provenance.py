"""What exporters write into a graph about the machine and the code it came from."""

from __future__ import annotations

import onnx

from quant.operators import nodes, subgraphs


def strip_provenance(model: onnx.ModelProto) -> None:
    """Remove doc strings and metadata of the model, its graphs, nodes and tensors, in place.

    torch's dynamo exporter puts stack traces there, with paths; tf2onnx a counter of functions.
    Neither is part of what the graph computes, and the same source would give other bytes
    elsewhere.
    """
    model.doc_string = ""
    del model.metadata_props[:]
    _strip(model.graph)
    for node in nodes(model.graph):
        node.doc_string = ""
        del node.metadata_props[:]
        for inner in subgraphs(node):
            _strip(inner)
    for function in model.functions:
        function.doc_string = ""
        del function.metadata_props[:]
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]


def _strip(graph: onnx.GraphProto) -> None:
    graph.doc_string = ""
    del graph.metadata_props[:]
    for tensor in graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.doc_string = ""
        del value.metadata_props[:]
