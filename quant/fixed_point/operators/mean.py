"""The mean over axes: a sum, a whole multiplier near 2^16 / count, and a shift."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np
import onnx

from quant.fixed_point.lowering.lowering import Accumulator, Lowering, peak_of
from quant.fixed_point.network.network import Reduction, Requantize

MULTIPLIER_BITS = 16  # 128 * count * (2^16 / count) = 2^23 stays below float32's 2^24
_MOST_SHIFT = 22
MOST_COUNT = 256  # beyond it, round(2^16 / count) has fewer than 8 bits left


def finest_mean(x_scale: Fraction, count: int) -> Fraction:
    """The finest scale that a mean of `count` codes can have."""
    is_power = count & (count - 1) == 0
    return x_scale * count if is_power else x_scale * 2**8


def multiplier_bits(shift: int) -> tuple[int, int]:
    """Bits of the multiplier's unit, and the whole shift, for one scale over another of 2^shift.

    Half of the last place, which compensation adds, must not pass 2^21 either.
    """
    extra = max(0, MULTIPLIER_BITS + shift - _MOST_SHIFT)
    bits = max(0, MULTIPLIER_BITS - extra)
    return bits, bits + shift


def mean(
    lowering: Lowering, node: onnx.NodeProto, axes: tuple[int, ...], *, keepdims: bool
) -> None:
    """Lower a node that averages its input over `axes`, with a Relu or Clip behind it."""
    x, x_scale = lowering.real(node)
    count = math.prod(x.shape[axis] for axis in axes)
    name, bounds = lowering.activation(node.output[0])
    if lowering.options.is_unsigned:
        sums = Accumulator(x_scale * count, peak_of(x) * count, x.low >= 0)
        scale, rescale = lowering.settled(node, name, sums, bounds)
        lowering.add(Reduction(name, x.name, axes, keepdims, rescale), scale)
        return
    power = count & (count - 1) == 0
    # A mean of 2^k elements has k bits below those of its input.
    finest = finest_mean(x_scale, count)
    scale = lowering.wanted(name, finest, bounds)
    if power:
        shift = lowering.shift_between(node, finest, scale)
        rescale = lowering.rescale(shift, bounds, scale)
        lowering.add(Reduction(name, x.name, axes, keepdims, rescale), scale)
        return
    dropped = max(0, (count // MOST_COUNT).bit_length())
    bits, shift = multiplier_bits(lowering.shift_between(node, x_scale, scale))
    factor = np.array(round(2 ** (bits + dropped) / count), np.int64)
    last = lowering.rescale(shift, bounds, scale, factor)
    if not dropped:
        lowering.add(Reduction(name, x.name, axes, keepdims, last), scale)
        return
    # The sum loses its lowest bits first, so that the multiplier keeps at least eight.
    limit = (128 * count >> dropped) + 1
    first = lowering.rescale(dropped)
    first = dataclasses.replace(first, low=-limit, high=limit)
    part = lowering.fresh(f"{name}/sum")
    shape = lowering.shape(node.output[0])
    lowering.add(Reduction(part, x.name, axes, keepdims, first), None, shape, is_float=False)
    lowering.add(Requantize(name, part, last), scale)
