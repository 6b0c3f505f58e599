"""Softmax by a table of exponentials."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx

from quant.fixed_point.calibration.softmax_axis import softmax_axis
from quant.fixed_point.lowering.lowering import Lowering
from quant.fixed_point.network.network import EXACT_LIMIT, INT8_HIGH, UINT8_HIGH, Softmax
from quant.fixed_point.operators.activation import UNIT_SCALE

_TABLE_BITS = 14


def softmax(lowering: Lowering, node: onnx.NodeProto) -> None:
    """T[d] = rint(2^14 * exp(-d / S)) of the distance d to the maximum."""
    x, x_scale = lowering.real(node)
    axis = softmax_axis(lowering.graph, node, x.shape)
    if axis is None:
        raise lowering.fault(node, "works on several axes at once", "export with opset 13 or later")
    bits, count, is_unsigned = _TABLE_BITS, x.shape[axis], lowering.options.is_unsigned
    most = 2 * UINT8_HIGH + 3 * count if is_unsigned else count  # see guard
    while most * 2**bits >= EXACT_LIMIT:
        bits -= 1
    if bits < 8:
        raise lowering.fault(node, f"sums {x.shape[axis]} exponentials", "cut the graph before it")
    table = np.rint(2**bits * np.exp(-np.arange(256) / float(x_scale))).astype(np.int64)
    operation = Softmax(node.output[0], x.name, axis, table, is_unsigned)
    scale, high = (Fraction(UINT8_HIGH), UINT8_HIGH) if is_unsigned else (UNIT_SCALE, INT8_HIGH)
    lowering.add(operation, scale, bounds=(0, high))
