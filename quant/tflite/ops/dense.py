"""Matrix products."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from quant.tflite.building.builder import Builder
from quant.tflite.building.flatten import flat_columns
from quant.tflite.building.fused import activate
from quant.tflite.building.layout import CHANNELS_FIRST, Order, plain
from quant.tflite.building.regroup import order_after, reshaped
from quant.tflite.building.value import Value


def fully_connected(b: Builder) -> None:
    """Weights are [outputs, inputs]; all axes of x but the last K elements are rows."""
    if b.op.options is not None and b.op.options.weightsFormat:
        raise b.fault("the weights are shuffled", "convert the network again without shuffling")
    if len(b.shape_out()) == 2:
        name, order = gemm(b), plain(2)
    elif b.value(0).order == CHANNELS_FIRST and b.value(1).array is not None:
        name, order = pointwise(b), CHANNELS_FIRST
    else:
        name, order = rows_product(b)
    b.define(activate(b, name), order)


def gemm(b: Builder) -> str:
    x, weights, bias = b.value(0), b.value(1), b.optional(2)
    name, columns = rows(b, x, weights)
    if columns is not None:
        array = b.constant(1)[:, columns]
        weights = Value(weights.name, array.shape, plain(2), array.dtype, array)
    inputs = [name, b.stored(weights, plain(2))]
    return b.emit("Gemm", inputs + ([b.stored(bias)] if bias else []), transB=1)


def rows(b: Builder, x: Value, weights: Value) -> tuple[str, NDArray[np.int64] | None]:
    """x as [rows, inputs], and TFLite's columns where they are stored in another order."""
    if x.columns is not None:
        return x.name, x.columns
    shape = (prod(x.shape) // weights.shape[1], weights.shape[1])
    plainly = x.array is not None or order_after(x.order, x.shape, shape) == plain(2)
    if not plainly and weights.array is not None and x.order[0] == 0 and x.shape[0] == shape[0]:
        return flat_columns(b, x)
    return b.stored(reshaped(b, x, shape), plain(2)), None


def pointwise(b: Builder) -> str:
    """A fully connected layer over the channels of N, C, H, W: a 1x1 convolution."""
    x, weights, bias = b.value(0), b.constant(1), b.optional(2)
    kernel = b.initializer(weights[:, :, None, None], b.value(1).name)
    inputs = [b.stored(x), kernel]
    return b.emit("Conv", inputs + ([b.stored(bias)] if bias else []), kernel_shape=(1, 1))


def rows_product(b: Builder) -> tuple[str, Order]:
    """A product over the last axis of x, whatever the order of the others."""
    x, weights, bias = b.value(0), b.value(1), b.optional(2)
    order = x.order if x.order[-1] == x.rank - 1 else plain(x.rank)
    name = b.emit("MatMul", [b.stored(x, order), b.stored(weights, (1, 0))])
    return (b.emit("Add", [name, b.stored(bias)]) if bias else name), order


def batch_matmul(b: Builder) -> None:
    """adjX and adjY swap the last two axes, which costs nothing for constants."""
    options = b.op.options
    x = b.stored(b.value(0), adjoint(b.value(0).rank, options.adjX))
    y = b.stored(b.value(1), adjoint(b.value(1).rank, options.adjY))
    b.define(b.emit("MatMul", [x, y]))


def adjoint(rank: int, swapped: bool) -> Order:
    return (*range(rank - 2), rank - 1, rank - 2) if swapped else plain(rank)


OPS = {"FULLY_CONNECTED": fully_connected, "BATCH_MATMUL": batch_matmul}
