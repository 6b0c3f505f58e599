"""What is done to each channel by constants, taken into the layer beside it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from quant.fixed_point.preparing.edit import (
    Array,
    is_a,
    only_maker,
    real_attribute,
    real_constant,
    repeat,
    with_inputs,
)
from quant.graph.analysis import batch_norm
from quant.graph.graph import Graph, attribute
from quant.graph.operators import label
from quant.rewrites.apply import apply
from quant.rewrites.named.fold_batch_norm import FoldBatchNorm

_LAYERS = ("Conv", "ConvTranspose", "Gemm")


def fold_channels(graph: Graph) -> None:
    """Fold BatchNormalization, and Mul, Add, Sub and Div with a constant a channel, into layers.

    BatchNormalization: as the rule FoldBatchNorm, and before every Gemm that reads it. The others:
    behind a Conv, ConvTranspose or Gemm, written as BatchNormalization first.
    """
    apply(FoldBatchNorm(), graph)
    repeat(_fold_arithmetic, graph)
    repeat(_fold_before_gemms, graph)


def _fold_arithmetic(graph: Graph, node: onnx.NodeProto) -> bool:
    if not is_a(node, "Mul", "Add", "Sub", "Div"):
        return False
    for position in (0, 1):
        layer = only_maker(graph, node.input[position])
        constant = real_constant(graph, node.input[1 - position])
        if layer is None or constant is None or not is_a(layer, *_LAYERS):
            continue
        channels = _channels(graph, layer)
        values = None if channels is None else _per_channel(graph, layer, constant, *channels)
        affine = None if values is None else _affine(node, position, values)
        if affine is not None:
            graph.replace([node], [_as_norm(graph, node, node.input[position], *affine)])
            return bool(apply(FoldBatchNorm(), graph).fired)
    return False


def _channels(graph: Graph, layer: onnx.NodeProto) -> tuple[int, int] | None:
    """How many channels a layer makes, and of how many axes; None where its weights are none."""
    weight = real_constant(graph, layer.input[1])
    has_bias = len(layer.input) > 2 and bool(layer.input[2])
    bias = real_constant(graph, layer.input[2]) if has_bias else None
    if weight is None or (has_bias and bias is None):
        return None
    if is_a(layer, "Gemm"):
        return weight.shape[0 if real_attribute(layer, "transB", 0) else 1], 2
    groups = int(real_attribute(layer, "group", 1))
    return (weight.shape[0] if is_a(layer, "Conv") else weight.shape[1] * groups), weight.ndim


def _per_channel(
    graph: Graph, layer: onnx.NodeProto, constant: Array, channels: int, rank: int
) -> Array | None:
    """[channels] of a constant that differs along axis 1 alone."""
    if constant.ndim > rank:
        return None
    shape = (1,) * (rank - constant.ndim) + constant.shape
    if any(length != 1 for axis, length in enumerate(shape) if axis != 1):
        return None
    if shape[1] not in (1, channels):
        return None
    values: Array = np.broadcast_to(constant.reshape(-1), (channels,)).astype(np.float64)
    return values


def _affine(node: onnx.NodeProto, position: int, values: Array) -> tuple[Array, Array] | None:
    """a and b of y = a x + b. position: of x among the inputs."""
    ones, zeros = np.ones_like(values), np.zeros_like(values)
    if is_a(node, "Mul"):
        return values, zeros
    if is_a(node, "Add"):
        return ones, values
    if is_a(node, "Sub"):
        return (ones, -values) if position == 0 else (-ones, values)
    return (1 / values, zeros) if position == 0 and values.all() else None


def _as_norm(
    graph: Graph, node: onnx.NodeProto, x: str, factor: Array, term: Array
) -> onnx.NodeProto:
    """y = factor x + term as a BatchNormalization of mean 0 and variance 1."""
    given = {"scale": factor, "shift": term, "mean": np.zeros_like(term), "var": np.ones_like(term)}
    names = [
        graph.add_constant(f"{node.output[0]}.{key}", value.astype(np.float32))
        for key, value in given.items()
    ]
    outputs = [node.output[0]]
    return helper.make_node("BatchNormalization", [x, *names], outputs, label(node), epsilon=0.0)


def _fold_before_gemms(graph: Graph, node: onnx.NodeProto) -> bool:
    """W (a x + b) + c = (W a) x + (W b + c), in every Gemm that reads a BatchNormalization."""
    if not is_a(node, "BatchNormalization") or any(map(graph.is_output, node.output)):
        return False
    tensor = node.output[0]
    readers = list(graph.consumers(tensor))
    found = [real_constant(graph, name) for name in node.input[1:5]]
    values = [one.astype(np.float64) for one in found if one is not None]
    if len(values) < len(found) or not readers:
        return False
    if attribute(node, "training_mode", 0) or any(node.output[1:]):
        return False
    if not all(_takes(graph, reader, tensor) for reader in readers):
        return False
    factor, term = batch_norm.affine(node, *values)
    if not np.isfinite(factor).all():  # a variance is no number above 0
        return False
    for reader in readers:
        made = _after_affine(graph, reader, node.input[0], factor, term)
        graph.replace([reader], [made])
    graph.replace([node], [])
    return True


def _takes(graph: Graph, gemm: onnx.NodeProto, tensor: str) -> bool:
    if not is_a(gemm, "Gemm") or gemm.input[0] != tensor or tensor in gemm.input[1:]:
        return False
    if any(real_attribute(gemm, name, 1.0) != 1.0 for name in ("alpha", "beta")):
        return False
    return not real_attribute(gemm, "transA", 0) and _channels(graph, gemm) is not None


def _after_affine(
    graph: Graph, gemm: onnx.NodeProto, x: str, factor: Array, term: Array
) -> onnx.NodeProto:
    is_transposed = bool(real_attribute(gemm, "transB", 0))
    given = real_constant(graph, gemm.input[1])
    assert given is not None  # `_takes` said so
    weight = (given.T if is_transposed else given).astype(np.float64)  # [K, M]
    bias = term @ weight
    if len(gemm.input) > 2 and gemm.input[2]:
        former = real_constant(graph, gemm.input[2])
        assert former is not None
        bias = bias + former.astype(np.float64)
    weight = weight * factor[:, None]
    name = gemm.output[0]
    values = {"weight": weight.T if is_transposed else weight, "bias": bias}
    constants = [
        graph.add_constant(f"{name}.{key}", np.ascontiguousarray(value, np.float32))
        for key, value in values.items()
    ]
    return with_inputs(gemm, [x, *constants])
