"""BatchNormalization that no convolution could take in: a whole factor and bias a channel."""

from __future__ import annotations

import numpy as np
import onnx

from quant.fixed_point.lowering import Lowering
from quant.fixed_point.operators.affine import affine


def batch_norm(lowering: Lowering, node: onnx.NodeProto) -> None:
    """(x - mean) / sqrt(var + epsilon) * scale + bias, axis 1 being the channels."""
    gamma, beta, mean, var = (lowering.required(node, i).astype(np.float64) for i in range(1, 5))
    factor = gamma / np.sqrt(var + float(lowering.attribute(node, "epsilon", 1e-5)))
    rank = len(lowering.tensor(node).shape)
    shape = (len(gamma), *[1] * (rank - 2))
    affine(lowering, node, factor.reshape(shape), (beta - mean * factor).reshape(shape))
