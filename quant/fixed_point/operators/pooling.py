"""Poolings: maxima keep their scale, means are sums with a whole multiplier and a shift."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fixed_point.lowering.bounds import Bounds
from quant.fixed_point.lowering.factors import common_factors
from quant.fixed_point.lowering.lowering import Accumulator, Lowering, peak_of
from quant.fixed_point.network.geometry import Pads, Pair, pads, pair
from quant.fixed_point.network.network import (
    Convolution,
    Integers,
    Maximum,
    MaxPool,
    Rescale,
    Tensor,
)
from quant.fixed_point.operators import windows
from quant.fixed_point.operators.mean import MOST_COUNT, finest_mean, mean, multiplier_bits


def maximum(lowering: Lowering, node: onnx.NodeProto) -> None:
    x = lowering.tensor(node)
    windows.require_2d(lowering, node, x.shape)
    if len(node.output) > 1 and node.output[1]:
        raise lowering.fault(node, "puts out indices", "leave its second output out")
    kernel = _kernel(lowering, node)
    dilations = pair(node, "dilations")
    padding = pads(node, x.shape, kernel)
    height, width = ((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    windows.require_floor(lowering, node, x.shape, (height, width), padding)
    strides = pair(node, "strides")
    pool = MaxPool(node.output[0], x.name, kernel, strides, padding, dilations)
    lowering.add(pool, x.scale, bounds=(x.low, x.high))


def global_maximum(lowering: Lowering, node: onnx.NodeProto) -> None:
    x = lowering.tensor(node)
    axes = tuple(range(2, len(x.shape)))
    pool = Maximum(node.output[0], x.name, axes, keepdims=True)
    lowering.add(pool, x.scale, bounds=(x.low, x.high))


def global_average(lowering: Lowering, node: onnx.NodeProto) -> None:
    rank = len(lowering.tensor(node).shape)
    mean(lowering, node, tuple(range(2, rank)), keepdims=True)


def average(lowering: Lowering, node: onnx.NodeProto) -> None:
    """Sums by a depthwise convolution of ones, then a multiplier for the size of each window."""
    x, x_scale = lowering.real(node)
    windows.require_2d(lowering, node, x.shape)
    kernel = _kernel(lowering, node)
    if pair(node, "dilations") != (1, 1):
        raise lowering.fault(node, "has dilations", "use a convolution")
    padding = pads(node, x.shape, kernel)
    windows.require_floor(lowering, node, x.shape, kernel, padding)
    name, bounds = lowering.activation(node.output[0])
    counts = _counts(lowering, node, x.shape, kernel, padding)
    area = kernel[0] * kernel[1]
    if area > MOST_COUNT:
        raise lowering.fault(node, f"has windows of {area}", "use smaller poolings in a row")
    is_even = bool((counts == counts.flat[0]).all())
    # A multiplier for every place takes 2^16 as its unit; one for all may be none at all.
    count = int(counts.flat[0]) if is_even else 3
    if lowering.options.is_unsigned:
        scale, rescale = _settled(lowering, node, name, x, bounds, counts)
        _add(lowering, node, name, x, kernel, padding, rescale, scale)
        return
    scale = lowering.wanted(name, finest_mean(x_scale, count), bounds)
    if count & (count - 1) == 0:
        multiplier, shift = None, lowering.shift_between(node, x_scale * count, scale)
    else:
        bits, shift = multiplier_bits(lowering.shift_between(node, x_scale, scale))
        multiplier = np.rint(2.0**bits / counts).astype(np.int64)
        multiplier = multiplier.flat[0].reshape(()) if is_even else multiplier
    rescale = lowering.rescale(shift, bounds, scale, multiplier)
    _add(lowering, node, name, x, kernel, padding, rescale, scale)


def _settled(
    lowering: Lowering,
    node: onnx.NodeProto,
    name: str,
    x: Tensor,
    bounds: Bounds,
    counts: Integers,
) -> tuple[Fraction, Rescale]:
    """At a scale of its own; a multiplier for every place where windows differ."""
    assert x.scale is not None
    least, most = int(counts.min()), int(counts.max())
    if least == most:
        sums = Accumulator(x.scale * least, peak_of(x) * least, x.low >= 0)
        return lowering.settled(node, name, sums, bounds)
    limits = lowering.limits(name, bounds.is_positive or x.low >= 0)
    scale = lowering.wanted(name, x.scale, bounds, limits)
    sizes = np.unique(counts).tolist()
    factors, shift = common_factors(
        [scale / (x.scale * size) for size in sizes], [peak_of(x) * size for size in sizes]
    )
    told = dict(zip(sizes, factors, strict=True))
    multiplier = np.vectorize(told.__getitem__)(counts).astype(np.int64)
    return scale, lowering.rescale(shift, bounds, scale, multiplier, limits)


def _add(
    lowering: Lowering,
    node: onnx.NodeProto,
    name: str,
    x: Tensor,
    kernel: Pair,
    padding: Pads,
    rescale: Rescale,
    scale: Fraction,
) -> None:
    channels = x.shape[1]
    lowering.add(
        Convolution(
            name,
            x.name,
            np.ones((channels, 1, *kernel), np.int64),
            rescale,
            groups=channels,
            strides=pair(node, "strides"),
            pads=padding,
        ),
        scale,
    )


def _counts(
    lowering: Lowering,
    node: onnx.NodeProto,
    x: tuple[int, ...],
    kernel: Pair,
    padding: Pads,
) -> Integers:
    """How many elements each window's mean is of, [h, w] of the output."""
    strides = pair(node, "strides")
    out = lowering.shape(node.output[0])[2:]
    if lowering.attribute(node, "count_include_pad", 0):
        return np.full(out, kernel[0] * kernel[1], np.int64)
    lengths: list[NDArray[Any]] = []
    for i in range(2):
        start = np.arange(out[i]) * strides[i] - padding[i]
        end = np.minimum(start + kernel[i], x[2 + i])
        lengths.append(end - np.maximum(start, 0))
    return np.outer(lengths[0], lengths[1]).astype(np.int64)


def _kernel(lowering: Lowering, node: onnx.NodeProto) -> Pair:
    given: Any = lowering.attribute(node, "kernel_shape")
    return int(given[0]), int(given[1])
