"""The check that a written file holds whole numbers alone, but for its outputs' scales.

A converter that folds a dequantization into a layer before it leaves fractions there; nothing here
may, and this looks at the finished file.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper


def fractional_parameters(model: onnx.ModelProto) -> list[str]:
    """Names of the constants that hold a fraction, outside the Mul that makes each output."""
    outputs = {value.name for value in model.graph.output}
    allowed = {
        name
        for node in model.graph.node
        if node.op_type == "Mul" and outputs.intersection(node.output)
        for name in node.input
    }
    elsewhere = {
        name
        for node in model.graph.node
        if not outputs.intersection(node.output)
        for name in node.input
    }
    found = []
    for tensor in model.graph.initializer:
        is_scale = tensor.name in allowed and tensor.name not in elsewhere
        if not is_scale and is_fractional(np.asarray(numpy_helper.to_array(tensor))):
            found.append(tensor.name)
    return found + [
        f"{node.name}.{attribute.name}"
        for node in model.graph.node
        for attribute in node.attribute
        if is_fractional(np.array([attribute.f, *attribute.floats]))
    ]


def is_fractional(array: NDArray[np.generic]) -> bool:
    """Whether any value is no whole number (or not finite)."""
    if array.dtype.kind != "f":
        return False
    values = array.astype(np.float64)
    return not bool(np.isfinite(values).all() and (values == np.rint(values)).all())
