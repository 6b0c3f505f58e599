"""How many nodes of each operator a graph has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import onnx

from quant.fault import Fault

# Domain "ai.onnx" is another spelling of ONNX's own, "".
OWN_DOMAINS = ("", "ai.onnx")


def operator(node: onnx.NodeProto) -> str:
    """`Conv`, or `com.microsoft.FusedConv` outside ONNX's own domain."""
    return node.op_type if node.domain in OWN_DOMAINS else f"{node.domain}.{node.op_type}"


def label(node: onnx.NodeProto) -> str:
    """What to call a node: its name, or where it has none, its operator and first output."""
    if node.name:
        return str(node.name)
    made = next((name for name in node.output if name), "")
    return f"{node.op_type}({made})"


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node of a graph, those of subgraphs (If, Loop, Scan) included."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from nodes(inner)


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that a node holds as attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def operator_counts(model: onnx.ModelProto) -> dict[str, int]:
    """Operator -> number of nodes, sorted by operator; subgraphs included."""
    return dict(sorted(Counter(map(operator, nodes(model.graph))).items()))


def opset(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that the model imports. Raises Fault without one."""
    for entry in model.opset_import:
        if entry.domain in OWN_DOMAINS:
            return int(entry.version)
    raise Fault(
        "the model imports no version of ONNX's own operators",
        "export the model again; an opset belongs to every ONNX file",
    )
