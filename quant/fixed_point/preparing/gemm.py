"""Products with a constant matrix as Gemm, which takes in biases and BatchNormalization."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from quant.fixed_point.preparing.edit import (
    Array,
    Shapes,
    is_a,
    only_reader,
    real_attribute,
    real_constant,
    repeat,
    static_shapes,
)
from quant.graph.graph import Graph
from quant.graph.operators import label


def make_gemms(graph: Graph) -> None:
    """MatMul [N, K] x [K, M], and the constant that an Add puts on it, become a Gemm.

    MatMul of more axes stays, with its Add. Gemm gets alpha and beta of one and a bias of [M].
    """
    shapes = static_shapes(graph)
    repeat(lambda g, node: _from_matmul(g, node, shapes), graph)
    repeat(_normalize, graph)


def _from_matmul(graph: Graph, node: onnx.NodeProto, shapes: Shapes) -> bool:
    weight = real_constant(graph, node.input[1]) if is_a(node, "MatMul") else None
    if weight is None or weight.ndim != 2 or len(shapes.get(node.input[0], ())) != 2:
        return False
    inputs, old, output = [node.input[0], node.input[1]], [node], node.output[0]
    reader = only_reader(graph, output)
    bias = None if reader is None else _added(graph, reader, output, weight.shape[1])
    if reader is not None and bias is not None:
        inputs.append(graph.add_constant(f"{reader.output[0]}.bias", bias))
        old, output = [node, reader], reader.output[0]
    graph.replace(old, [helper.make_node("Gemm", inputs, [output], label(node))])
    return True


def _added(graph: Graph, reader: onnx.NodeProto, tensor: str, columns: int) -> Array | None:
    """The constant that an Add puts on every row of `tensor`, [columns]."""
    if not is_a(reader, "Add"):
        return None
    other = reader.input[1] if reader.input[0] == tensor else reader.input[0]
    return _row(real_constant(graph, other), columns)


def _row(value: Array | None, columns: int) -> Array | None:
    """[columns] of a constant that is the same for every row of [N, columns]."""
    if value is None or value.ndim > 2 or value.size not in (1, columns):
        return None
    if value.ndim and value.shape[-1] != value.size:
        return None  # a number for each row
    return np.broadcast_to(value.reshape(-1), (columns,)).copy()


def _normalize(graph: Graph, node: onnx.NodeProto) -> bool:
    weight = real_constant(graph, node.input[1]) if is_a(node, "Gemm") else None
    alpha, beta = (real_attribute(node, name, 1.0) for name in ("alpha", "beta"))
    if weight is None or real_attribute(node, "transA", 0):
        return False
    columns = weight.shape[0 if real_attribute(node, "transB", 0) else 1]
    has_bias = len(node.input) > 2 and bool(node.input[2])
    given = real_constant(graph, node.input[2]) if has_bias else None
    bias = _row(given, columns)
    if (has_bias and bias is None) or (
        alpha == 1 and beta == 1 and (given is None or given.shape == (columns,))
    ):
        return False
    inputs = [node.input[0], node.input[1]]
    if alpha != 1:
        scaled = (weight.astype(np.float64) * alpha).astype(np.float32)
        inputs[1] = graph.add_constant(f"{node.output[0]}.weight", scaled)
    if bias is not None:
        scaled = (bias.astype(np.float64) * beta).astype(np.float32)
        inputs.append(graph.add_constant(f"{node.output[0]}.bias", scaled))
    trans = int(real_attribute(node, "transB", 0))
    name, outputs = label(node), [node.output[0]]
    graph.replace([node], [helper.make_node("Gemm", inputs, outputs, name, transB=trans)])
    return True
