"""Slice and Split."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from quant.fixed_point.lowering.lowering import Lowering
from quant.fixed_point.network.network import Slice, Take


def slice_(lowering: Lowering, node: onnx.NodeProto) -> None:
    x = lowering.tensor(node)
    rank = len(x.shape)
    starts, ends = _given(lowering, node, "starts", 1), _given(lowering, node, "ends", 2)
    axes = _given(lowering, node, "axes", 3)
    steps = _given(lowering, node, "steps", 4)
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    cut = [slice(0, length, 1) for length in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = lowering.axis(node, axis, rank)
        cut[place] = slice(*slice(start, end, step).indices(x.shape[place]))
    if any(part.step < 0 for part in cut):
        _reversed(lowering, node, cut)
        return
    if any(part.stop <= part.start for part in cut):
        raise lowering.fault(node, "is empty", "leave it out")
    columns = zip(*((part.start, part.stop, part.step) for part in cut), strict=True)
    operation = Slice(node.output[0], x.name, *(tuple(column) for column in columns))
    lowering.add(operation, x.scale, bounds=(x.low, x.high))


def _reversed(lowering: Lowering, node: onnx.NodeProto, cut: list[slice]) -> None:
    """A step backwards: each cut axis is taken by its indices."""
    x = lowering.tensor(node)
    name, shape = x.name, list(x.shape)
    for axis, part in enumerate(cut):
        if (part.start, part.stop, part.step) == (0, shape[axis], 1):
            continue
        stop = None if part.stop < 0 else part.stop
        places = tuple(int(i) for i in np.arange(shape[axis])[part.start : stop : part.step])
        shape[axis] = len(places)
        made = lowering.fresh(f"{node.output[0]}/axis")
        bounds = (x.low, x.high)
        operation = Take(made, name, places, axis)
        name = lowering.add(operation, x.scale, tuple(shape), bounds, is_float=False)
    lowering.rename(node.output[0], lowering.tensors[name])


def split(lowering: Lowering, node: onnx.NodeProto) -> None:
    x = lowering.tensor(node)
    axis = lowering.axis(node, int(lowering.attribute(node, "axis", 0)), len(x.shape))
    start = 0
    for output in node.output:
        length = lowering.shape(output)[axis]
        starts, ends = [0] * len(x.shape), list(x.shape)
        starts[axis], ends[axis] = start, start + length
        steps = (1,) * len(x.shape)
        operation = Slice(output, x.name, tuple(starts), tuple(ends), steps)
        lowering.add(operation, x.scale, bounds=(x.low, x.high))
        start += length


def _given(lowering: Lowering, node: onnx.NodeProto, name: str, position: int) -> Any:
    """Attributes up to opset 9, inputs since; None where left out."""
    given: Any = lowering.attribute(node, name)
    if given is None and position < len(node.input) and node.input[position]:
        given = lowering.required(node, position).reshape(-1).tolist()
    return None if given is None else [int(number) for number in given]
