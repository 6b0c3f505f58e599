"""Inputs of bytes that a network casts to float, as float inputs: the SDK compiles no others."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from quant.graph.graph import attribute
from quant.graph.operators import OWN_DOMAINS, nodes, subgraphs

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
# Which move numbers and compute none, and have one input that does: the first.
_MOVES = ("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


def widen_bytes(model: onnx.ModelProto) -> list[str]:
    """Make uint8 inputs float32, in place, where only casts to float read their numbers.

    float32 and float16 hold each of the 256 numbers. Returns a sentence for each.
    """
    said = []
    for value in model.graph.input:
        kind = value.type.tensor_type
        if kind.elem_type != onnx.TensorProto.UINT8:
            continue
        moved = _moved(model.graph, value.name)
        if moved is None:
            continue
        kind.elem_type = onnx.TensorProto.FLOAT
        for told in model.graph.value_info:
            if told.name in moved:
                told.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        said.append(f"input `{value.name}` was uint8, which the network casts, now float32")
    return said


def _moved(graph: onnx.GraphProto, name: str) -> Sequence[str] | None:
    """The tensors of that input's bytes up to the casts; None where anything else reads one."""
    found, outputs = [name], {value.name for value in graph.output}
    for tensor in found:
        readers = [node for node in graph.node if tensor in node.input]
        if tensor in outputs or not readers or _is_read_inside(graph, tensor):
            return None
        for node in readers:
            if node.domain not in OWN_DOMAINS or node.input[0] != tensor:
                return None
            if node.op_type in _MOVES:
                found.append(node.output[0])
            elif node.op_type != "Cast" or attribute(node, "to") not in _FLOATS:
                return None
    return found


def _is_read_inside(graph: onnx.GraphProto, tensor: str) -> bool:
    """Whether a branch or a loop's body reads it."""
    return any(
        tensor in inner.input
        for node in graph.node
        for body in subgraphs(node)
        for inner in nodes(body)
    )
