"""Where a layer's channels lie in the tensors behind it, as long as nothing mixes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import onnx

from quant.graph.graph import Graph, attribute
from quant.graph.operators import OWN_DOMAINS


@dataclass(frozen=True)
class Place:
    """The axis of a tensor that counts the channels. shape: of the tensor.

    repeats: how many neighbours along the axis belong to one channel, after flattening.
    """

    axis: int
    repeats: int
    shape: tuple[int, ...]

    @property
    def length(self) -> int:
        return self.shape[self.axis]

    def is_read_by(self, layer: onnx.NodeProto) -> bool:
        """Whether a Conv, Gemm or MatMul sums over this axis."""
        return self.axis == (len(self.shape) - 1 if layer.op_type == "MatMul" else 1)


def made_by(graph: Graph, layer: onnx.NodeProto, channels: int) -> Place | None:
    """Where a Conv, Gemm or MatMul puts its channels; None where the shape is not known."""
    shape = _shape(graph, layer.output[0])
    if shape is None:
        return None
    place = Place(len(shape) - 1 if layer.op_type == "MatMul" else 1, 1, shape)
    return place if place.length == channels else None


def passed(graph: Graph, node: onnx.NodeProto, tensor: str, place: Place) -> Place | None:
    """Where the channels of `tensor` lie in a node's first output.

    None where a positive factor a channel before the node is not the same factor behind it.
    """
    rule = _RULES.get(node.op_type) if node.domain in OWN_DOMAINS else None
    shape = _shape(graph, node.output[0])
    if rule is None or shape is None or list(node.input).count(tensor) != 1:
        return None
    return rule(graph, node, place, shape) if node.input[0] == tensor else None


def _shape(graph: Graph, tensor: str) -> tuple[int, ...] | None:
    found = graph.type(tensor)
    return found.static_shape if found is not None and found.is_static else None


Shape = tuple[int, ...]


def _elementwise(graph: Graph, node: onnx.NodeProto, place: Place, shape: Shape) -> Place:
    return Place(place.axis, place.repeats, shape)


def _window(graph: Graph, node: onnx.NodeProto, place: Place, shape: Shape) -> Place | None:
    """Windows span every axis behind the first two."""
    return Place(1, place.repeats, shape) if place.axis == 1 else None


def _pad(graph: Graph, node: onnx.NodeProto, place: Place, shape: Shape) -> Place | None:
    """Zeros, or the picture's own elements, around other axes."""
    filled = attribute(node, "value", 0.0)
    if graph.opset >= 11:
        value = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else 0.0
        filled = 1.0 if value is None else float(value)  # computed: taken for what does not pass
    is_zero = attribute(node, "mode", "constant") != "constant" or filled == 0.0
    is_kept = shape[place.axis] == place.length
    return Place(place.axis, place.repeats, shape) if is_zero and is_kept else None


def _reduction(graph: Graph, node: onnx.NodeProto, place: Place, shape: Shape) -> Place | None:
    axes = attribute(node, "axes")
    if axes is None and len(node.input) > 1 and node.input[1]:
        given = graph.constant(node.input[1])
        axes = None if given is None else given.tolist()
    if not axes:
        return None  # computed, or over all
    rank = len(place.shape)
    gone = {int(axis) % rank for axis in cast("list[int]", axes)}
    if place.axis in gone:
        return None
    before = 0 if attribute(node, "keepdims", 1) else sum(axis < place.axis for axis in gone)
    return Place(place.axis - before, place.repeats, shape)


def _transpose(graph: Graph, node: onnx.NodeProto, place: Place, shape: Shape) -> Place:
    default = list(range(len(shape)))[::-1]
    perm = cast("list[int]", attribute(node, "perm", default))
    return Place(perm.index(place.axis), place.repeats, shape)


def _reshape(graph: Graph, node: onnx.NodeProto, place: Place, shape: Shape) -> Place | None:
    """As many elements before the axis, and its length or a multiple of that, as before."""
    before = math.prod(place.shape[: place.axis])
    for axis, length in enumerate(shape):
        if math.prod(shape[:axis]) == before and length >= place.length:
            whole, rest = divmod(length, place.length)
            return None if rest else Place(axis, place.repeats * whole, shape)
    return None


Rule = Callable[[Graph, onnx.NodeProto, Place, Shape], "Place | None"]
_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("Abs", "Dropout", "Identity", "LeakyRelu", "Neg", "PRelu"), _elementwise),
    "Relu": _elementwise,
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"), _window),
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"), _reduction),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _reshape),
    "Pad": _pad,
    "Transpose": _transpose,
}
