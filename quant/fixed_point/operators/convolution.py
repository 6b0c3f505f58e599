"""Conv."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fixed_point.lowering import Lowering
from quant.fixed_point.network import Convolution
from quant.fixed_point.operators import windows
from quant.fixed_point.weights import quantize_weights


def conv(lowering: Lowering, node: onnx.NodeProto) -> None:
    """Conv, with a Relu or Clip behind it."""
    x, x_scale = lowering.real(node)
    windows.require_2d(lowering, node, x.shape)
    weight = lowering.required(node, 1)
    bias = lowering.required(node, 2) if len(node.input) > 2 and node.input[2] else None
    groups = int(lowering.attribute(node, "group", 1))
    name, bounds = lowering.activation(node.output[0])
    finest = x_scale * 2**24  # as fine as any weights could make it
    done = quantize_weights(
        weight.reshape(len(weight), -1),
        bias,
        x_scale,
        max(-x.low, x.high),
        lowering.wanted(name, finest, bounds),
        lowering.options,
        _means(lowering.means(node.input[0], x.shape[1]), weight, groups),
    )
    lowering.told(node, done.notes)
    kernel = (weight.shape[2], weight.shape[3])
    lowering.add(
        Convolution(
            name,
            x.name,
            done.weight.reshape(weight.shape),
            done.rescale((len(weight), 1, 1), bounds),
            groups=groups,
            strides=windows.pair(lowering, node, "strides"),
            pads=windows.pads(lowering, node, x.shape, kernel),
            dilations=windows.pair(lowering, node, "dilations"),
        ),
        done.scale,
    )


def _means(
    means: NDArray[np.float64] | None, weight: NDArray[Any], groups: int
) -> NDArray[np.float64] | None:
    """What each tap reads on average, [outputs, taps]. means: of the input's channels."""
    if means is None:
        return None
    outputs, inner = weight.shape[:2]
    own = np.repeat(means.reshape(groups, inner), outputs // groups, axis=0)
    return np.repeat(own, int(np.prod(weight.shape[2:])), axis=1)
