"""BatchNormalization that no convolution could take in: a whole factor and bias a channel."""

from __future__ import annotations

import numpy as np
import onnx

from quant.fixed_point.lowering.lowering import Lowering
from quant.fixed_point.operators.affine import affine
from quant.graph.analysis import batch_norm


def normalize(lowering: Lowering, node: onnx.NodeProto) -> None:
    """(x - mean) / sqrt(var + epsilon) * scale + bias, axis 1 being the channels."""
    gamma, *rest = (lowering.required(node, i).astype(np.float64) for i in range(1, 5))
    rank = len(lowering.tensor(node).shape)
    shape = (len(gamma), *[1] * (rank - 2))
    factor, term = batch_norm.affine(node, gamma, *rest)
    affine(lowering, node, factor.reshape(shape), term.reshape(shape))
