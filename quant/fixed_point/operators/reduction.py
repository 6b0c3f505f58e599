"""ReduceSum, ReduceMean and ReduceMax."""

from __future__ import annotations

import math

import onnx

from quant.fixed_point.lowering.lowering import Accumulator, Lowering, peak_of
from quant.fixed_point.network.network import Maximum, Reduction
from quant.fixed_point.operators.mean import mean as mean_over


def total(lowering: Lowering, node: onnx.NodeProto) -> None:
    x, x_scale = lowering.real(node)
    axes, keepdims = _axes(lowering, node, len(x.shape))
    name, bounds = lowering.activation(node.output[0])
    count = math.prod(x.shape[axis] for axis in axes)
    sums = Accumulator(x_scale, peak_of(x) * count, x.low >= 0)
    scale, rescale = lowering.settled(node, name, sums, bounds)
    lowering.add(Reduction(name, x.name, axes, keepdims, rescale), scale)


def mean(lowering: Lowering, node: onnx.NodeProto) -> None:
    axes, keepdims = _axes(lowering, node, len(lowering.tensor(node).shape))
    mean_over(lowering, node, axes, keepdims=keepdims)


def maximum(lowering: Lowering, node: onnx.NodeProto) -> None:
    x, scale = lowering.real(node)
    axes, keepdims = _axes(lowering, node, len(x.shape))
    lowering.add(Maximum(node.output[0], x.name, axes, keepdims), scale, bounds=(x.low, x.high))


def _axes(lowering: Lowering, node: onnx.NodeProto, rank: int) -> tuple[tuple[int, ...], bool]:
    """The axes, an attribute in older opsets and an input in newer; all where left out."""
    given = lowering.attribute(node, "axes")
    if given is None and len(node.input) > 1 and node.input[1]:
        given = lowering.required(node, 1).reshape(-1).tolist()
    if not given and lowering.attribute(node, "noop_with_empty_axes", 0):
        raise lowering.fault(node, "reduces nothing", "leave it out, or name its axes")
    axes = sorted(lowering.axis(node, int(axis), rank) for axis in given or range(rank))
    return tuple(axes), bool(lowering.attribute(node, "keepdims", 1))
