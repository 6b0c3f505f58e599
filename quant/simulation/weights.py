"""Weights and biases as the simulator holds them: rounded, and float32 again."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Span = tuple[Array, Array]  # lowest and highest, float64 [C]


def span(weights: Array, axis: int | None) -> Span:
    """Of each channel along `axis`, or of all weights where it is None. 0 is always inside."""
    over = tuple(place for place in range(weights.ndim) if place != axis)
    low = weights.min(axis=over).reshape(-1).astype(np.float64)
    high = weights.max(axis=over).reshape(-1).astype(np.float64)
    return np.minimum(low, 0), np.maximum(high, 0)


def steps(within: Span) -> Array:
    """float64 step of each channel, [C]. 0 for a channel that is all zeros."""
    low, high = within
    return np.asarray((high - low) / 255)


def rounded(weights: Array, axis: int | None, within: Span | None = None) -> Array:
    """w -> (clip(rint(w / s) + z, -128, 127) - z) s, asymmetric; s in float32, z from float64.

    within: their `span`, where it is known.
    """
    within = within or span(weights, axis)
    step = steps(within)
    step[step == 0] = 1
    # In float32, a few zero points would be the other neighbour of a tie.
    zero = np.clip(np.rint(-128 - within[0] / step), -128, 127)
    scale, zero = (_along(one.astype(np.float32), weights.ndim, axis) for one in (step, zero))
    codes = np.divide(weights, scale, dtype=np.float32)
    np.rint(codes, out=codes)
    # Whole numbers: the same without + z - z. np.clip takes five times as long.
    np.maximum(codes, -128 - zero, out=codes)
    np.minimum(codes, 127 - zero, out=codes)
    return np.multiply(codes, scale, out=codes)


def rounded_bias(bias: Array, input_scale: float, weight_steps: Array) -> Array:
    """b -> rint(b / s) s with s = f32(input's scale * weights' step), both float64.

    A channel without weights keeps its bias.
    """
    step = (input_scale * weight_steps).astype(np.float32)
    safe = np.where(step == 0, np.float32(1), step)
    return np.asarray(np.where(step == 0, bias, np.rint(bias / safe) * safe).astype(np.float32))


def _along(values: Array, rank: int, axis: int | None) -> Array:
    shape = [1] * rank
    if axis is not None:
        shape[axis] = len(values)
    return values.reshape(shape)
