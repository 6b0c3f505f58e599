"""The static proof that float32 holds every number: none reaches 2^24."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from quant.fault import Fault
from quant.fixed_point.network import network as net
from quant.fixed_point.network.network import (
    EXACT_LIMIT,
    UINT8_HIGH,
    Integers,
    Network,
    Rescale,
    Tensor,
)
from quant.fixed_point.network.windows import windows

_LEAST_SPLIT_SHIFT = 4


def check(network: Network) -> None:
    """Raise Fault that names the first operation whose numbers may leave float32's whole ones."""
    for operation in network.operations:
        bound = accumulator_bound(network, operation)
        if bound >= EXACT_LIMIT and not can_split(network, operation):
            raise Fault(
                f"`{operation.output}` may sum up to {bound:,}, beyond 2^24, where float32 loses "
                "whole numbers",
                "use a larger output range, or split the layer",
            )


def needs_split(network: Network, operation: net.Operation) -> bool:
    """Whether a layer must be written as two, w = 16A + B."""
    return accumulator_bound(network, operation) >= EXACT_LIMIT


def split(weight: Integers) -> tuple[Integers, Integers]:
    """A and B of weight = 16 A + B, 0 <= B <= 15."""
    return weight >> 4, weight & 15


def can_split(network: Network, operation: net.Operation) -> bool:
    """Whether (A + ((B + bias) >> 4)) >> (n - 4) keeps both sums below 2^24."""
    if not isinstance(operation, (net.Convolution, net.MatrixProduct)):
        return False
    rescale = operation.rescale
    if (rescale.shift < _LEAST_SPLIT_SHIFT).any() or rescale.multiplier is not None:
        return False
    x = network.tensors[operation.x]
    high, low = (_products(operation, part, x) for part in split(operation.weight))
    bias = _largest(rescale.bias)
    return low + bias < EXACT_LIMIT and high + (low + bias) // 16 + 1 < EXACT_LIMIT


def accumulator_bound(network: Network, operation: net.Operation) -> int:
    """The largest magnitude of any number on the way to an operation's output."""
    if isinstance(operation, net.Softmax):
        count = network.tensors[operation.x].shape[operation.axis]
        if operation.is_unsigned:  # a quotient too large by one, times twice the sum
            return (2 * UINT8_HIGH + 3 * count) * int(operation.table.max())
        return max(128 * int(operation.table.max()) * 2, count * int(operation.table.max()))
    rescale = getattr(operation, "rescale", None)
    if not isinstance(rescale, Rescale):
        return 0
    if isinstance(operation, net.Convolution) and rescale.multiplier is not None:
        return _of_window_means(network, operation, rescale.multiplier)
    return _through(_accumulator(network, operation), rescale)


def _accumulator(network: Network, operation: net.Operation) -> int:
    """The largest magnitude before the rescale."""
    read = [network.tensors[name] for name in net.reads(operation)]
    peaks = [_peak(tensor) for tensor in read]
    if isinstance(operation, (net.Convolution, net.MatrixProduct)):
        return _products(operation, operation.weight, read[0])
    if isinstance(operation, net.TensorProduct):
        return peaks[0] * peaks[1] * read[0].shape[-1]
    if isinstance(operation, net.Affine):
        return peaks[0] * _largest(operation.weight)
    if isinstance(operation, net.Sum):
        return peaks[0] * operation.factor_a + peaks[1] * operation.factor_b
    if isinstance(operation, net.Product):
        return peaks[0] * peaks[1]
    if isinstance(operation, net.Reduction):
        return peaks[0] * int(np.prod([read[0].shape[axis] for axis in operation.axes]))
    return peaks[0]


def _of_window_means(network: Network, op: net.Convolution, multiplier: Integers) -> int:
    """A window at the edge has a larger multiplier, but fewer elements in it."""
    x = network.tensors[op.x]
    channels = np.abs(op.weight).sum(axis=1).max(axis=0)  # [kh, kw]
    inside = np.ones((1, 1, *x.shape[2:]), np.int64)
    view = windows(inside, op.weight.shape[2:], op.strides, op.pads, op.dilations, 0)
    sums = (view * channels).sum(axis=(4, 5))[0, 0] * _peak(x)
    return _through(int((sums * multiplier).max()), replace(op.rescale, multiplier=None))


def _products(operation: net.Convolution | net.MatrixProduct, weight: Integers, x: Tensor) -> int:
    """The largest |sum(x * weight)| of any output channel."""
    axes = tuple(range(1, weight.ndim)) if isinstance(operation, net.Convolution) else (0,)
    if x.limits[0] == 0:  # no sum, of whichever terms, is larger than that of one sign's
        sides = (np.maximum(side, 0).sum(axis=axes) for side in (weight, -weight))
        return max(int(side.max(initial=0)) for side in sides) * x.high
    return int(np.abs(weight).sum(axis=axes).max(initial=0)) * _peak(x)


def _through(bound: int, rescale: Rescale) -> int:
    before = bound * max(1, _largest(rescale.multiplier) or 1) + _largest(rescale.bias)
    after = (before >> int(rescale.shift.min())) + 1 + _largest(rescale.bias_after)
    return max(bound, before, after)


def _peak(tensor: Tensor) -> int:
    return max(-tensor.low, tensor.high)


def _largest(values: Integers | None) -> int:
    return 0 if values is None else int(np.abs(values).max(initial=0))
