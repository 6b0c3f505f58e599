"""Gemm and MatMul."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fixed_point.lowering.lowering import Accumulator, Lowering, peak_of
from quant.fixed_point.lowering.weights import Read, quantize_weights
from quant.fixed_point.network.network import MatrixProduct, Tensor, TensorProduct


def gemm(lowering: Lowering, node: onnx.NodeProto) -> None:
    """Gemm with a constant matrix, with a Relu or Clip behind it."""
    weight = lowering.required(node, 1)
    if lowering.attribute(node, "transA", 0):
        raise lowering.fault(node, "transposes its input", "put a Transpose before it")
    if lowering.attribute(node, "transB", 0):
        weight = weight.T
    weight = weight * lowering.attribute(node, "alpha", 1.0)
    bias = None
    if len(node.input) > 2 and node.input[2]:
        bias = lowering.required(node, 2) * lowering.attribute(node, "beta", 1.0)
        if bias.ndim > 1 and any(length != 1 for length in bias.shape[:-1]):
            raise lowering.fault(node, "has a bias a sample", "add it by an Add of its own")
    _product(lowering, node, weight, bias, node.output[0])


def matmul(lowering: Lowering, node: onnx.NodeProto) -> None:
    """MatMul with a constant matrix (and the bias of an Add behind it), or of two tensors."""
    weight = lowering.constant(node, 1)
    if weight is None:
        _of_tensors(lowering, node)
        return
    if weight.ndim != 2:
        raise lowering.fault(
            node, f"has a constant of {weight.ndim} axes", "split it into products of matrices"
        )
    bias, name = _bias_behind(lowering, node, weight.shape[1])
    _product(lowering, node, weight, bias, name)


def _bias_behind(
    lowering: Lowering, node: onnx.NodeProto, columns: int
) -> tuple[NDArray[Any] | None, str]:
    """The constant of an Add that alone reads the product, and the Add's output.

    An Add that gives the product more axes is none of it.
    """
    name = str(node.output[0])
    reader = lowering.only_reader(name)
    if reader is None or reader.op_type != "Add":
        return None, name
    bias = lowering.constant(reader, 1 if reader.input[0] == name else 0)
    if (
        bias is None
        or bias.size not in (1, columns)
        or bias.shape[-1:] not in ((), (1,), (columns,))
        or lowering.shape(reader.output[0]) != lowering.shape(name)
    ):
        return None, name
    lowering.done.add(id(reader))
    return bias, str(reader.output[0])


def _product(
    lowering: Lowering,
    node: onnx.NodeProto,
    weight: NDArray[Any],
    bias: NDArray[Any] | None,
    output: str,
) -> None:
    """x @ weight + bias. weight: [K, M]."""
    x, x_scale = lowering.real(node)
    columns = weight.shape[1]
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1), (columns,))
    name, bounds = lowering.activation(output)
    done = quantize_weights(
        weight.T,
        bias,
        x,
        lowering.wanted(name, x_scale * 2**24, bounds),
        lowering.options,
        _read(lowering, node, x, columns),
    )
    lowering.told(node, done.notes)
    rescale = done.rescale((columns,), bounds, lowering.limits(name, bounds.is_positive))
    lowering.add(MatrixProduct(name, x.name, done.weight.T.copy(), rescale), done.scale)


def _read(lowering: Lowering, node: onnx.NodeProto, x: Tensor, columns: int) -> Read:
    taps = lowering.taps_of(node)
    mean = lowering.means(node.input[0], x.shape[-1]) if taps is None else taps.mean[0]
    drift = lowering.drift(node, -1)
    wide = (columns, x.shape[-1])
    return Read(
        None if mean is None else np.broadcast_to(mean.astype(np.float64), wide),
        None if drift is None else np.broadcast_to(drift, wide),
        taps,
    )


def _of_tensors(lowering: Lowering, node: onnx.NodeProto) -> None:
    a, a_scale = lowering.real(node, 0)
    b, b_scale = lowering.real(node, 1)
    if min(len(a.shape), len(b.shape)) < 2:  # LiteRT's BATCH_MATMUL takes no vectors
        raise lowering.fault(
            node,
            f"multiplies {list(a.shape)} and {list(b.shape)}",
            "reshape vectors to matrices before it",
        )
    lowering.require_few_axes(node, max(len(a.shape), len(b.shape)))
    name, bounds = lowering.activation(node.output[0])
    peak = peak_of(a) * peak_of(b) * a.shape[-1]
    is_positive = min(a.low, b.low) >= 0
    sums = Accumulator(a_scale * b_scale, peak, is_positive)
    scale, rescale = lowering.settled(node, name, sums, bounds)
    lowering.add(TensorProduct(name, a.name, b.name, rescale), scale)
