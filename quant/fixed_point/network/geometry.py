"""Where the windows of a convolution or pooling lie: its node's attributes, worked out."""

from __future__ import annotations

from typing import Any

import onnx

from quant.graph.analysis.same_padding import same_pads
from quant.graph.graph import attribute

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]


def pair(node: onnx.NodeProto, name: str) -> Pair:
    """strides or dilations, (h, w); 1 where left out."""
    given: Any = attribute(node, name) or [1, 1]
    return int(given[0]), int(given[1])


def pads(node: onnx.NodeProto, x: tuple[int, ...], kernel: Pair) -> Pads:
    """(top, left, bottom, right), auto_pad worked out. x: shape of the input, NCHW."""
    auto = str(attribute(node, "auto_pad", "NOTSET"))
    if auto in ("NOTSET", "VALID"):
        given: Any = attribute(node, "pads") if auto == "NOTSET" else None
        top, left, bottom, right = given or (0, 0, 0, 0)
        return int(top), int(left), int(bottom), int(right)
    sides = zip(x[2:], kernel, pair(node, "strides"), pair(node, "dilations"), strict=True)
    both = [same_pads(*side) for side in sides]
    (top, bottom), (left, right) = (b if auto == "SAME_UPPER" else b[::-1] for b in both)
    return top, left, bottom, right
