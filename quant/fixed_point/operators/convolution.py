"""Conv."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fixed_point.lowering.lowering import Lowering
from quant.fixed_point.lowering.weights import Read, quantize_weights
from quant.fixed_point.network.geometry import pads, pair
from quant.fixed_point.network.network import Convolution
from quant.fixed_point.operators import windows


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
        x,
        lowering.wanted(name, finest, bounds),
        lowering.options,
        _read(lowering, node, weight, groups),
    )
    lowering.told(node, done.notes)
    kernel = (weight.shape[2], weight.shape[3])
    lowering.add(
        Convolution(
            name,
            x.name,
            done.weight.reshape(weight.shape),
            done.rescale((len(weight), 1, 1), bounds, lowering.limits(name, bounds.is_positive)),
            groups=groups,
            strides=pair(node, "strides"),
            pads=pads(node, x.shape, kernel),
            dilations=pair(node, "dilations"),
        ),
        done.scale,
    )


def _read(lowering: Lowering, node: onnx.NodeProto, weight: NDArray[Any], groups: int) -> Read:
    x, taps = lowering.tensor(node), lowering.taps_of(node)
    mean = _at_taps(lowering.means(node.input[0], x.shape[1]), weight, groups)
    if taps is not None:
        mean = np.repeat(taps.mean.astype(np.float64), len(weight) // groups, axis=0)
    return Read(mean, _at_taps(lowering.drift(node, 1), weight, groups), taps)


def _at_taps(
    channels: NDArray[np.float64] | None, weight: NDArray[Any], groups: int
) -> NDArray[np.float64] | None:
    """A number for each channel of the input, as each tap reads it: [outputs, taps]."""
    if channels is None:
        return None
    outputs, inner = weight.shape[:2]
    own = np.repeat(channels.reshape(groups, inner), outputs // groups, axis=0)
    return np.repeat(own, int(np.prod(weight.shape[2:])), axis=1)
