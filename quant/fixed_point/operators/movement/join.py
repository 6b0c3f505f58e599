"""Concat and Pad."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import onnx

from quant.fixed_point.lowering.lowering import Lowering
from quant.fixed_point.network.network import Concat, Pad, Take, Tensor
from quant.fixed_point.network.scales import fitting, just_below, odd_part

_NO_VALUE = 1e30  # exporters write the least float, or infinity, for "never the largest"


def concat(lowering: Lowering, node: onnx.NodeProto) -> None:
    """The inputs are aligned to the coarsest of their scales."""
    inputs = [lowering.tensor(node, i) for i in range(len(node.input))]
    axis = lowering.axis(node, int(lowering.attribute(node, "axis")), len(inputs[0].shape))
    scales = [x.scale for x in inputs if x.scale is not None]
    if scales and len(scales) < len(inputs):
        raise lowering.fault(node, "joins indices and reals", "join them apart")
    scale = None
    if scales:
        limits = lowering.limits(node.output[0], min(x.low for x in inputs) >= 0)
        scale = min(_within(x, limits) for x in inputs)
        inputs = [lowering.aligned(node, x, scale, limits) for x in inputs]
    bounds = (min(x.low for x in inputs), max(x.high for x in inputs))
    operation = Concat(node.output[0], tuple(x.name for x in inputs), axis)
    lowering.add(operation, scale, bounds=bounds)


def pad(lowering: Lowering, node: onnx.NodeProto) -> None:
    """With a constant, or with the tensor's own edge or reflection."""
    x, scale = lowering.real(node)
    before, after = _lengths(lowering, node, len(x.shape))
    if min(*before, *after) < 0:
        raise lowering.fault(node, "cuts off (a negative pad)", "use a Slice")
    mode = str(lowering.attribute(node, "mode", "constant"))
    if mode == "constant":
        lowering.require_few_axes(node, len(x.shape))
        value = _value(lowering, node)
        if _is_seen(lowering, node, value):
            limits = lowering.limits(node.output[0], x.low >= 0 and value > 0)
            coarse = min(_within(x, limits), _holding(lowering, scale, value, limits))
            x, scale = lowering.aligned(node, x, coarse, limits), coarse
        code = int(np.clip(round(value * float(scale)), *x.limits))
        bounds = (min(x.low, code), max(x.high, code))
        operation = Pad(node.output[0], x.name, before, after, code)
        lowering.add(operation, scale, bounds=bounds)
    else:
        _take(lowering, node, x, before, after, mode)


def _within(x: Tensor, limits: tuple[int, int]) -> Fraction:
    """The scale at which the codes of x stay within limits: its own, or less for 127 of 255."""
    assert x.scale is not None
    return x.scale if x.high <= limits[1] else x.scale * limits[1] / x.high


def _holding(
    lowering: Lowering, scale: Fraction, value: float, limits: tuple[int, int]
) -> Fraction:
    """The finest scale at which a value fits."""
    if lowering.options.is_unsigned:
        return just_below(limits[1] / abs(value))
    return fitting(odd_part(scale), abs(value))


def _is_seen(lowering: Lowering, node: onnx.NodeProto, value: float) -> bool:
    """Whether the padding must keep its value: before MaxPool it is there to lose, and a scale that
    held the least float would leave the others nothing. With constant shifts no scale changes."""
    readers = lowering.graph.consumers(node.output[0])
    is_lost = bool(readers) and all(reader.op_type == "MaxPool" for reader in readers)
    is_lost |= abs(value) > _NO_VALUE
    return value != 0 and not is_lost and lowering.options.shifts != "constant"


def _lengths(
    lowering: Lowering, node: onnx.NodeProto, rank: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    given: Any = lowering.attribute(node, "pads")
    if given is None:
        given = lowering.required(node, 1).reshape(-1).tolist()
    axes: Any = lowering.constant(node, 3)
    axes = range(rank) if axes is None else [lowering.axis(node, int(a), rank) for a in axes]
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        before[axis], after[axis] = int(given[i]), int(given[i + len(axes)])
    return tuple(before), tuple(after)


def _value(lowering: Lowering, node: onnx.NodeProto) -> float:
    given = lowering.attribute(node, "value")
    if given is None and len(node.input) > 2 and node.input[2]:
        given = lowering.required(node, 2)
    return 0.0 if given is None else float(np.asarray(given).reshape(()))


def _take(
    lowering: Lowering,
    node: onnx.NodeProto,
    x: Tensor,
    before: tuple[int, ...],
    after: tuple[int, ...],
    mode: str,
) -> None:
    if mode not in ("reflect", "edge", "wrap"):
        raise lowering.fault(node, f"has mode {mode}", "use constant, reflect or edge")
    name, shape = x.name, list(x.shape)
    axes = [axis for axis in range(len(shape)) if before[axis] or after[axis]]
    for axis in axes:
        places = np.pad(np.arange(shape[axis]), (before[axis], after[axis]), mode)  # type: ignore[call-overload]
        shape[axis] = len(places)
        is_last = axis == axes[-1]
        made = node.output[0] if is_last else lowering.fresh(f"{node.output[0]}/axis")
        operation = Take(made, name, tuple(int(i) for i in places), axis)
        bounds = (x.low, x.high)
        name = lowering.add(operation, x.scale, tuple(shape), bounds, is_float=is_last)
    if not axes:
        lowering.rename(node.output[0], x)
