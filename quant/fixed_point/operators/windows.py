"""Attributes that convolutions and poolings share."""

from __future__ import annotations

from typing import Any

import onnx

from quant.fixed_point.lowering import Lowering

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]


def pair(lowering: Lowering, node: onnx.NodeProto, name: str) -> Pair:
    """strides or dilations, (h, w); 1 where left out."""
    given: Any = lowering.attribute(node, name) or [1, 1]
    return int(given[0]), int(given[1])


def pads(lowering: Lowering, node: onnx.NodeProto, x: tuple[int, ...], kernel: Pair) -> Pads:
    """(top, left, bottom, right), auto_pad worked out. x: shape of the input, NCHW."""
    auto = str(lowering.attribute(node, "auto_pad", "NOTSET"))
    if auto in ("NOTSET", "VALID"):
        given: Any = lowering.attribute(node, "pads") if auto == "NOTSET" else None
        top, left, bottom, right = given or (0, 0, 0, 0)
        return int(top), int(left), int(bottom), int(right)
    strides, dilations = pair(lowering, node, "strides"), pair(lowering, node, "dilations")
    both = []
    for length, k, stride, dilation in zip(x[2:], kernel, strides, dilations, strict=True):
        covered = (-(-length // stride) - 1) * stride + (k - 1) * dilation + 1
        whole = max(covered - length, 0)
        both.append((whole // 2, whole - whole // 2))
    (top, bottom), (left, right) = (b if auto == "SAME_UPPER" else b[::-1] for b in both)
    return top, left, bottom, right


def require_2d(lowering: Lowering, node: onnx.NodeProto, x: tuple[int, ...]) -> None:
    if len(x) != 4:
        raise lowering.fault(
            node, f"works on {len(x) - 2} axes, not 2", "write it with [N, C, 1, L] instead"
        )


def require_floor(
    lowering: Lowering, node: onnx.NodeProto, x: tuple[int, ...], spread: Pair, pads_: Pads
) -> None:
    """Refuse a pooling whose last window is partly outside (ceil_mode)."""
    if not lowering.attribute(node, "ceil_mode", 0):
        return
    strides = pair(lowering, node, "strides")
    out = lowering.shape(node.output[0])[2:]
    whole = [
        (length + pads_[i] + pads_[i + 2] - spread[i]) // strides[i] + 1
        for i, length in enumerate(x[2:])
    ]
    if list(out) != whole:
        raise lowering.fault(node, "has windows beyond its padding (ceil_mode)", "pad explicitly")
