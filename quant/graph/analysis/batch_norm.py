"""What a BatchNormalization computes in inference."""

from __future__ import annotations

from typing import cast

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.graph.graph import attribute

Doubles = NDArray[np.float64]


def affine(
    node: onnx.NodeProto, gamma: Doubles, beta: Doubles, mean: Doubles, variance: Doubles
) -> tuple[Doubles, Doubles]:
    """a and b of y = a x + b, per channel; not finite where variance + epsilon is not above 0."""
    epsilon = float(cast(float, attribute(node, "epsilon", 1e-5)))
    with np.errstate(invalid="ignore", divide="ignore"):
        scale: Doubles = gamma / np.sqrt(variance + epsilon)
        return scale, beta - mean * scale
