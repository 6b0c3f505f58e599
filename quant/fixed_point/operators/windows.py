"""What integer convolutions and poolings can't be."""

from __future__ import annotations

import onnx

from quant.fixed_point.lowering.lowering import Lowering
from quant.fixed_point.network.geometry import Pads, Pair, pair


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
    strides = pair(node, "strides")
    out = lowering.shape(node.output[0])[2:]
    whole = [
        (length + pads_[i] + pads_[i + 2] - spread[i]) // strides[i] + 1
        for i, length in enumerate(x[2:])
    ]
    if list(out) != whole:
        raise lowering.fault(node, "has windows beyond its padding (ceil_mode)", "pad explicitly")
