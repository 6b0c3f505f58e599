"""Where the bytes of an ONNX or a TFLite file are: by kind, and by the node that they serve."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx

from quant.graph.operators import label, operator
from quant.report.bytes_report import BytesReport, Row

KINDS = {
    "constants": "weights, biases, shifts and tables, with their names where the format has both",
    "operators": "nodes with their attributes and the names they connect",
    "interface": "inputs, outputs and shapes of tensors",
    "structure": "what is none of these: headers, and in TFLite all but the constants' data",
}


@dataclass(frozen=True)
class FilePart:
    """Bytes of one kind. node: what they serve, None where they are no node's."""

    kind: str
    size_bytes: int
    node: str | None = None
    op: str | None = None


def report(entries: Iterable[FilePart], file_bytes: int) -> dict[str, Any]:
    """Sums by kind and by node, the largest node first; what is left is `structure`.

    Raises ValueError where the entries exceed the file.
    """
    known = list(entries)
    left = file_bytes - sum(entry.size_bytes for entry in known)
    if left < 0:
        raise ValueError(f"the entries exceed the file's {file_bytes} bytes by {-left}")
    kinds = Counter(dict.fromkeys(KINDS, 0))
    nodes: dict[tuple[str, str | None], Counter[str]] = defaultdict(Counter)
    for entry in (*known, FilePart("structure", left)):
        kinds[entry.kind] += entry.size_bytes
        if entry.node is not None:
            nodes[entry.node, entry.op][entry.kind] += entry.size_bytes
    told: list[dict[str, Any]] = [
        {"node": node, "op": op, "bytes": found.total(), "kinds": dict(found)}
        for (node, op), found in nodes.items()
    ]
    told.sort(key=lambda node: -node["bytes"])
    return {"file_bytes": file_bytes, "kinds": dict(kinds), "nodes": told}


def with_rest(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A report's rows of nodes, with one for what is no node's: they add up to the file."""
    rest = Counter(told["kinds"])
    for node in told["nodes"]:
        rest.subtract(node["kinds"])
    kinds = {kind: size for kind, size in rest.items() if size}
    row = {"node": None, "op": None, "bytes": sum(kinds.values()), "kinds": kinds}
    return sorted([*told["nodes"], row], key=lambda one: -one["bytes"])


def onnx_report(
    told: Mapping[str, Any],
    source_bytes: int,
    *,
    is_integer: bool,
    files: Mapping[str, Row] | None = None,
) -> BytesReport:
    """bytes.json of an ONNX file with weights of 8 bits. told: what `of_onnx` says of it."""
    return BytesReport(
        file_bytes=told["file_bytes"],
        source_bytes=source_bytes,
        container="onnx",
        weight_bits=8,
        is_integer=is_integer,
        kinds=told["kinds"],
        unexplained=0,
        nodes=with_rest(told),
        files=files,
    )


def of_onnx(data: bytes) -> dict[str, Any]:
    """The report of an ONNX file without side files."""
    graph = onnx.ModelProto.FromString(data).graph
    readers = _readers((node, node.input) for node in graph.node)
    entries = [
        FilePart("constants", _message(tensor), *_served(readers, tensor.name))
        for tensor in graph.initializer
    ]
    for node in graph.node:
        entries.append(FilePart("operators", _message(node), label(node), operator(node)))
    for value in (*graph.input, *graph.output, *graph.value_info):
        entries.append(FilePart("interface", _message(value)))
    return report(entries, len(data))


def _readers(nodes: Iterable[tuple[Any, Sequence[str]]]) -> Mapping[str, Any]:
    """Tensor -> the first node that reads it."""
    found: dict[str, Any] = {}
    for node, inputs in nodes:
        for name in inputs:
            found.setdefault(name, node)
    return found


def _served(readers: Mapping[str, onnx.NodeProto], name: str) -> tuple[str | None, str | None]:
    """The node that a constant is there for, behind the Cast or the like that makes it float."""
    node = readers.get(name)
    if node is not None and node.op_type in ("Cast", "DequantizeLinear"):
        node = readers.get(node.output[0], node)
    return (None, None) if node is None else (label(node), operator(node))


def _message(part: Any) -> int:
    """Bytes of a message inside another: a tag of one byte, a length, and itself."""
    own = int(part.ByteSize())
    return 1 + max(1, (own.bit_length() + 6) // 7) + own


def of_tflite(data: bytes) -> dict[str, Any]:
    """The report of a TFLite file with one subgraph; a node is called after what it makes."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    names = [graph.Tensors(i).Name().decode() for i in range(graph.TensorsLength())]
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    readers: dict[int, Any] = {}
    for one in operators:
        for tensor in one.InputsAsNumpy().tolist():
            readers.setdefault(tensor, one)
    kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if name[0] != "_"}

    def kind(one: Any) -> str:
        return str(kinds[model.OperatorCodes(one.OpcodeIndex()).BuiltinCode()])

    entries, seen = [], set()
    for number in range(len(names)):
        buffer = graph.Tensors(number).Buffer()
        size_bytes = model.Buffers(buffer).DataLength()
        if not size_bytes or buffer in seen:
            continue
        seen.add(buffer)
        one = readers.get(number)
        if one is not None and kind(one) == "DEQUANTIZE":
            one = readers.get(one.Outputs(0), one)
        owner = (None, None) if one is None else (names[one.Outputs(0)], kind(one))
        entries.append(FilePart("constants", size_bytes, *owner))
    return report(entries, len(data))
