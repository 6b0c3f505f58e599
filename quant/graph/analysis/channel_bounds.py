"""Between which numbers each channel of a tensor lies, for every input up to LARGEST_INPUT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import onnx

from quant.graph.graph import Graph, attribute
from quant.graph.operators import OWN_DOMAINS

Doubles = npt.NDArray[np.float64]
Range = tuple[Doubles, Doubles]
Bounds = Mapping[str, Range]

# A sum of n products in float32 is off by no more than n 2^-24 of the sum of their magnitudes.
_STEP = 2.0**-23
# Pixels and samples of sound have 16 bits at most.
LARGEST_INPUT = 2.0**16


def bounds_of(graph: Graph) -> Bounds:
    """Tensor -> lowest and highest value of each channel, where something is known of them.

    Through Conv, Relu and Clip. A bound is one of the tensor as float32 computes it: a sum that is
    negative by less than its rounding is not called so.
    """
    found = _inputs(graph)
    for node in graph.nodes:
        if node.domain not in OWN_DOMAINS or not node.output:
            continue
        made = None
        if node.op_type == "Conv":
            made = _conv(graph, node, found.get(node.input[0]))
        elif node.op_type == "Relu" and node.input[0] in found:
            low, high = found[node.input[0]]
            made = np.maximum(low, 0), np.maximum(high, 0)
        elif node.op_type == "Clip" and node.input[0] in found:
            made = _clip(graph, node, found[node.input[0]])
        if made is not None:
            found[node.output[0]] = made
    return found


def _inputs(graph: Graph) -> dict[str, Range]:
    found: dict[str, Range] = {}
    for name in graph.inputs:
        type_ = graph.type(name)
        if type_ is not None and type_.is_static and len(type_.static_shape) > 2:
            most = np.full(type_.static_shape[1], LARGEST_INPUT)
            found[name] = -most, most
    return found


def is_depthwise(graph: Graph, node: onnx.NodeProto) -> bool:
    """A Conv with a filter of its own for each channel, and no more channels out than in."""
    if node.op_type != "Conv" or node.domain not in OWN_DOMAINS:
        return False
    weight = graph.constant(node.input[1])
    group = attribute(node, "group", 1)
    return weight is not None and weight.shape[1] == 1 and group == weight.shape[0]


def _clip(graph: Graph, node: onnx.NodeProto, given: Range) -> Range | None:
    limits = []
    for place, name in ((1, "min"), (2, "max")):
        limit: object = attribute(node, name, None)
        if len(node.input) > place and node.input[place]:
            value = graph.constant(node.input[place])
            if value is None or value.size != 1:
                return None
            limit = float(np.ravel(value).astype(np.float64)[0])
        limits.append(limit)
    low, high = given
    if limits[0] is not None:
        low, high = (np.maximum(one, cast(float, limits[0])) for one in (low, high))
    if limits[1] is not None:
        low, high = (np.minimum(one, cast(float, limits[1])) for one in (low, high))
    return low, high


def _conv(graph: Graph, node: onnx.NodeProto, given: Range | None) -> Range | None:
    weight = graph.constant(node.input[1])
    bias = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    group = int(cast(int, attribute(node, "group", 1)))
    if weight is None or weight.dtype != np.float32 or not np.isfinite(weight).all():
        return None
    if len(node.input) > 2 and node.input[2] and bias is None:
        return None
    outputs, per_group = weight.shape[:2]
    shift = np.zeros(outputs) if bias is None else bias.astype(np.float64)
    if given is None:
        infinite = np.where(weight.any(axis=tuple(range(1, weight.ndim))), np.inf, 0.0)
        return shift - infinite, shift + infinite
    low, high = given
    if _is_padded(node):  # zeros stand beside the map
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    taps = weight.astype(np.float64).reshape(group, outputs // group, per_group, -1)
    ups, downs = np.maximum(taps, 0).sum(axis=3), np.minimum(taps, 0).sum(axis=3)
    least = _products(ups, low) + _products(downs, high)
    most = _products(ups, high) + _products(downs, low)
    size = _products(np.abs(taps).sum(axis=3), np.maximum(np.abs(low), np.abs(high)))
    slack = _STEP * (weight[0].size + 1) * (size + np.abs(shift))
    # Products that float32 does not add to the bias: their rounding is not the bias's.
    slack = np.where(size <= 2.0**-27 * np.abs(shift), size, slack)
    return least + shift - slack, most + shift + slack


def _products(weights: Doubles, values: Doubles) -> Doubles:
    """Sums over the channels that each output reads; a weight of 0 makes 0, of infinity too.

    weights: [groups, outputs of a group, channels of a group]. values: [channels].
    """
    with np.errstate(invalid="ignore"):
        products = weights * values.reshape(len(weights), 1, -1)
    if not np.isfinite(values).all():
        products[weights == 0] = 0.0
    return cast(Doubles, products.sum(axis=2).ravel())


def _is_padded(node: onnx.NodeProto) -> bool:
    pads = cast(Sequence[int], attribute(node, "pads", [0]))
    return any(pads) or attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
