"""What an integer network computes: NumPy, int64. The files must give these very numbers."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fault import Fault
from quant.fixed_point.network import network as net
from quant.fixed_point.network.float_node import run_float_node
from quant.fixed_point.network.network import (
    EXACT_LIMIT,
    INT8_HIGH,
    INT8_LOW,
    UINT8_HIGH,
    Integers,
    Network,
    Rescale,
)
from quant.fixed_point.network.windows import windows

Array = NDArray[Any]


def run(network: Network, inputs: Mapping[str, Array]) -> dict[str, Integers]:
    """Every tensor of the network by name, int64.

    inputs: the network's inputs by name: float32 reals, or indices. Raises Fault on values that are
    not finite.
    """
    tensors: dict[str, Integers] = {}
    for given in network.inputs:
        value = inputs[given.name]
        if isinstance(given, net.RealInput):
            tensors[given.tensor] = quantize(
                value, given.input_scale, given.name, network.tensors[given.tensor].limits
            )
        else:
            tensors[given.tensor] = value.astype(np.int64)
    for operation in network.operations:
        tensors[operation.output] = compute(network.tensors, operation, tensors)
    return tensors


def quantize(
    x: Array,
    scale: Fraction,
    name: str = "input",
    limits: tuple[int, int] = (INT8_LOW, INT8_HIGH),
) -> Integers:
    """floor((x * 2p + d) / 2d) of a scale p / d, in float32 as the files do it, within limits.

    x: float32, finite. Raises Fault where it is not.
    """
    if not np.isfinite(x).all():
        raise Fault(f"`{name}` holds NaN or infinities", "check the data's preprocessing")
    p, d = scale.numerator, scale.denominator
    floor = np.floor((x.astype(np.float32) * np.float32(2 * p) + np.float32(d)) / np.float32(2 * d))
    codes: Integers = np.clip(floor, *limits).astype(np.int64)
    return codes


def outputs(network: Network, tensors: Mapping[str, Integers]) -> dict[str, NDArray[np.float32]]:
    """The network's outputs as reals: codes times float32(1 / scale)."""
    made = {}
    for output in network.outputs:
        made[output.name] = dequantize(network.tensors[output.tensor], tensors[output.tensor])
    return made


def dequantize(tensor: net.Tensor, codes: Integers) -> NDArray[np.float32]:
    """A tensor's codes as reals."""
    if tensor.scale is None:
        raise ValueError(f"`{tensor.name}` holds indices")
    return codes.astype(np.float32) * np.float32(1 / tensor.scale)


def compute(
    told: Mapping[str, net.Tensor], operation: net.Operation, tensors: Mapping[str, Integers]
) -> Integers:
    """One operation's output from the tensors that it reads. told: what is known of them."""
    if isinstance(operation, net.FloatNode):
        return _float(told, operation, tensors)
    read = [tensors[name] for name in net.reads(operation)]
    shape = told[operation.output].shape
    if isinstance(operation, net.Reshape):
        return read[0].reshape(shape)
    made: Integers = COMPUTE[type(operation)](operation, read)
    return made


def _rescaled(acc: Integers, rescale: Rescale) -> Integers:
    if rescale.multiplier is not None:
        acc = acc * rescale.multiplier
    if rescale.bias is not None:
        acc = acc + rescale.bias
    acc = acc >> rescale.shift
    if rescale.bias_after is not None:
        acc = acc + rescale.bias_after
    return np.clip(acc, rescale.low, rescale.high)


def _matrix(a: Array, b: Array) -> Integers:
    """a @ b exactly: float64 holds every sum of int8 products that fits into memory (< 2^53)."""
    made: Integers = (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
    return made


def _convolution(op: net.Convolution, read: list[Integers]) -> Integers:
    x, weight = read[0], op.weight
    peak = max(int(x.max(initial=0)), -int(x.min(initial=0)))
    most = peak * int(np.abs(weight).reshape(len(weight), -1).sum(axis=1).max(initial=0))
    # Every sum on the way is a whole number that this type holds.
    kind = np.float32 if most <= EXACT_LIMIT else np.float64
    sums = _sums(op, x.astype(kind), weight.astype(kind))
    return _rescaled_sums(sums, most, op.rescale)


def _sums(op: net.Convolution, x: Array, weight: Array) -> Array:
    """[N, channels, h, w], before the bias. x, weight: whole numbers, of one float type."""
    view = windows(x, weight.shape[2:], op.strides, op.pads, op.dilations, 0)
    n, channels, h, w, *kernel = view.shape
    inner, out = channels // op.groups, len(weight) // op.groups
    if inner == out == 1:  # a product of matrices of one row each takes longer
        sums = np.zeros((n, channels, h, w), x.dtype)
        for y, x_ in np.ndindex(*kernel):
            sums += view[..., y, x_] * weight[:, 0, y, x_, None, None]
        return sums
    # [groups, out, taps] @ [N, groups, taps, h * w]
    columns = view.transpose(0, 1, 4, 5, 2, 3).reshape(n, op.groups, -1, h * w)
    made: Array = weight.reshape(op.groups, out, -1) @ columns
    return made.reshape(n, len(weight), h, w)


def _rescaled_sums(sums: Array, most: int, rescale: Rescale) -> Integers:
    """As `_rescaled`, in half the memory where it can be. sums: whole numbers, none beyond most."""
    added = [bias for bias in (rescale.bias, rescale.bias_after) if bias is not None]
    most += sum(int(np.abs(bias).max(initial=0)) for bias in added)
    limits = max(abs(rescale.low), abs(rescale.high))
    if rescale.multiplier is not None or max(most, limits) > np.iinfo(np.int32).max:
        return _rescaled(sums.astype(np.int64), rescale)
    acc = sums.astype(np.int32)
    if rescale.bias is not None:
        acc += rescale.bias.astype(np.int32)
    acc >>= rescale.shift.astype(np.int32)
    if rescale.bias_after is not None:
        acc += rescale.bias_after.astype(np.int32)
    return np.clip(acc, rescale.low, rescale.high, out=acc).astype(np.int64)


def _max_pool(op: net.MaxPool, read: list[Integers]) -> Integers:
    lowest = int(np.iinfo(np.int64).min)
    view = windows(read[0], op.kernel, op.strides, op.pads, op.dilations, lowest)
    made: Integers = view.max(axis=(4, 5))
    return made


def _softmax(op: net.Softmax, read: list[Integers]) -> Integers:
    x = read[0]
    powers = op.table[x.max(axis=op.axis, keepdims=True) - x]
    total = powers.sum(axis=op.axis, keepdims=True)
    made: Integers
    if op.is_unsigned:
        made = (2 * UINT8_HIGH * powers + total) // (2 * total)
    else:
        made = np.minimum(127, 128 * powers // total)
    return made


def _slice(op: net.Slice, read: list[Integers]) -> Integers:
    cut = zip(op.starts, op.ends, op.steps, strict=True)
    return read[0][tuple(slice(*part) for part in cut)]


def _pad(op: net.Pad, read: list[Integers]) -> Integers:
    around = list(zip(op.before, op.after, strict=True))
    return np.pad(read[0], around, constant_values=op.value)


def _embedding(op: net.Embedding, read: list[Integers]) -> Integers:
    """Raises Fault on indices that ONNX counts from the end, which TFLite does not."""
    indices, rows = read[0], len(op.table)
    wrong = indices[(indices < 0) | (indices >= rows)]
    if wrong.size:
        raise Fault(
            f"`{op.indices}` holds the index {wrong[0]}, and `{op.output}` picks from {rows} rows",
            f"give indices from 0 to {rows - 1}",
        )
    made: Integers = op.table[indices]
    return made


def _float(
    told: Mapping[str, net.Tensor], op: net.FloatNode, tensors: Mapping[str, Integers]
) -> Integers:
    reals = {name: dequantize(told[tensor], tensors[tensor]) for name, tensor in op.inputs}
    made = told[op.output]
    assert made.scale is not None
    return quantize(run_float_node(op, reals), made.scale, op.output, made.limits)


COMPUTE: Mapping[type, Any] = {
    net.Convolution: _convolution,
    net.MatrixProduct: lambda op, r: _rescaled(_matrix(r[0], op.weight), op.rescale),
    net.TensorProduct: lambda op, r: _rescaled(_matrix(r[0], r[1]), op.rescale),
    net.Affine: lambda op, r: _rescaled(r[0] * op.weight, op.rescale),
    net.Sum: lambda op, r: _rescaled(
        r[0] * op.factor_a + op.sign * (r[1] * op.factor_b), op.rescale
    ),
    net.Product: lambda op, r: _rescaled(r[0] * r[1], op.rescale),
    net.Reduction: lambda op, r: _rescaled(
        r[0].sum(axis=op.axes, keepdims=op.keepdims), op.rescale
    ),
    net.Requantize: lambda op, r: _rescaled(r[0], op.rescale),
    net.MaxPool: _max_pool,
    net.Maximum: lambda op, r: r[0].max(axis=op.axes, keepdims=op.keepdims),
    net.Lookup: lambda op, r: op.table[r[0] - op.first],
    net.Softmax: _softmax,
    net.Transpose: lambda op, r: r[0].transpose(op.perm),
    net.Concat: lambda op, r: np.concatenate(r, axis=op.axis),
    net.Slice: _slice,
    net.Pad: _pad,
    net.Take: lambda op, r: np.take(r[0], op.indices, axis=op.axis),
    net.Embedding: _embedding,
}
