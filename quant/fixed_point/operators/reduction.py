"""ReduceSum, ReduceMean and ReduceMax."""

from __future__ import annotations

import onnx

from quant.fixed_point.lowering import Lowering
from quant.fixed_point.network import Maximum, Reduction
from quant.fixed_point.operators.mean import mean as mean_over


def total(lowering: Lowering, node: onnx.NodeProto) -> None:
    x, x_scale = lowering.real(node)
    axes, keepdims = _axes(lowering, node, len(x.shape))
    name, bounds = lowering.activation(node.output[0])
    scale = lowering.wanted(name, x_scale, bounds)
    rescale = lowering.rescale(lowering.shift_between(node, x_scale, scale), bounds, scale)
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
