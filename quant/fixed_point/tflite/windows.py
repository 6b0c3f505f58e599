"""Convolutions and poolings as TFLite operators."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from quant.fixed_point.network import network as net
from quant.fixed_point.network.network import Integers, integer_name
from quant.fixed_point.tflite.emission import Emission, Value
from quant.fixed_point.tflite.rescale import weighted
from quant.graph.analysis.same_padding import same_pads

_SAME, _VALID = schema.Padding.SAME, schema.Padding.VALID


def convolution(e: Emission, op: net.Convolution) -> Value:
    x = e.last(e.values[op.x])
    shape = e.network.tensors[op.output].shape
    kernel = (op.weight.shape[2], op.weight.shape[3])
    x, padding = padded(e, x, op, kernel, shape, 0)

    def multiply(weight: Integers, bias: Integers | None, name: str) -> Value:
        bias = np.zeros(len(weight), np.int64) if bias is None else bias
        if op.groups == 1:
            return _conv(e, x, weight, bias, op, padding, shape, name)
        if op.groups == x.shape[1]:
            return _depthwise(e, x, weight, bias, op, padding, shape, name)
        return _grouped(e, x, weight, bias, op, padding, shape, name)

    return weighted(e, op, multiply, len(op.weight))


def padded(
    e: Emission, x: Value, op: Any, kernel: tuple[int, int], out: tuple[int, ...], fill: int
) -> tuple[Value, int]:
    """x, padded where SAME and VALID can't express it, and which of these is then right."""
    if not any(op.pads):
        return x, _VALID
    if op.pads == _same_pads(x.shape, kernel, op) and fill == 0:
        return x, _SAME
    top, left, bottom, right = op.pads
    n, channels, height, width = x.shape
    shape = (n, channels, height + top + bottom, width + left + right)
    return _pad(e, x, ((0, 0), (top, bottom), (left, right), (0, 0)), shape, fill), _VALID


def _same_pads(x: tuple[int, ...], kernel: tuple[int, int], op: Any) -> tuple[int, ...]:
    """(top, left, bottom, right) that SAME would pad. x: shape, NCHW."""
    sides = zip(x[2:], kernel, op.strides, op.dilations, strict=True)
    (top, bottom), (left, right) = (same_pads(*side) for side in sides)
    return top, left, bottom, right


def _pad(e: Emission, x: Value, around: Any, shape: tuple[int, ...], fill: int) -> Value:
    result = Value(0, shape, x.is_last)
    name = f"padded_{x.index}_{fill}"
    pads = e.builder.constant(np.array(around, np.int32), f"{name}/pads")
    index = pad_op(e, x.index, pads, fill, result.stored_shape, name)
    return Value(index, shape, x.is_last)


def pad_op(e: Emission, index: int, pads: int, fill: int, shape: tuple[int, ...], name: str) -> int:
    """PAD, or PADV2 with another value than 0."""
    if fill == 0:
        return e.builder.op("PAD", [index, pads], shape, name, schema.PadOptionsT())
    value = e.builder.number(fill, f"{name}/value")
    return e.builder.op("PADV2", [index, pads, value], shape, name, schema.PadV2OptionsT())


def _place(options: Any, op: Any, padding: int) -> Any:
    options.padding = padding
    options.strideH, options.strideW = op.strides
    return options


def _op(
    e: Emission, kind: str, inputs: list[int], shape: tuple[int, ...], name: str, options: Any
) -> Value:
    """An operator whose result has its channels last. shape: NCHW."""
    stored = Value(0, shape, True).stored_shape
    return Value(e.builder.op(kind, inputs, stored, name, options), shape, True)


def _conv(
    e: Emission, x: Value, weight: Integers, bias: Integers, op: net.Convolution, padding: int,
    shape: tuple[int, ...], name: str,
) -> Value:  # fmt: skip
    options = _place(schema.Conv2DOptionsT(), op, padding)
    options.dilationHFactor, options.dilationWFactor = op.dilations
    filters = e.builder.weight(weight.transpose(0, 2, 3, 1), f"{name}/weight")
    inputs = [x.index, filters, e.builder.whole(bias, f"{name}/bias")]
    return _op(e, "CONV_2D", inputs, shape, name, options)


def _depthwise(
    e: Emission, x: Value, weight: Integers, bias: Integers, op: net.Convolution, padding: int,
    shape: tuple[int, ...], name: str,
) -> Value:  # fmt: skip
    options = _place(schema.DepthwiseConv2DOptionsT(), op, padding)
    options.dilationHFactor, options.dilationWFactor = op.dilations
    options.depthMultiplier = len(weight) // op.groups
    filters = e.builder.weight(weight[:, 0].transpose(1, 2, 0)[None], f"{name}/weight")
    inputs = [x.index, filters, e.builder.whole(bias, f"{name}/bias")]
    return _op(e, "DEPTHWISE_CONV_2D", inputs, shape, name, options)


def _grouped(
    e: Emission, x: Value, weight: Integers, bias: Integers, op: net.Convolution, padding: int,
    shape: tuple[int, ...], name: str,
) -> Value:  # fmt: skip
    """Each group for itself: not every delegate knows grouped CONV_2D."""
    inner, out = x.shape[1] // op.groups, len(weight) // op.groups
    n, _, height, width = x.shape
    parts = []
    for group in range(op.groups):
        low = (0, 0, 0, group * inner)
        high = (n, height, width, (group + 1) * inner)
        part = f"{name}/group_{group}"
        sliced = strided_slice(e, x.index, low, high, (1, 1, 1, 1), f"{part}/x")
        rows = slice(group * out, (group + 1) * out)
        piece = (shape[0], out, *shape[2:])
        taken = Value(sliced, (n, inner, height, width), True)
        parts.append(_conv(e, taken, weight[rows], bias[rows], op, padding, piece, part).index)
    options = schema.ConcatenationOptionsT()
    options.axis = 3
    return _op(e, "CONCATENATION", parts, shape, name, options)


def strided_slice(
    e: Emission,
    index: int,
    low: tuple[int, ...],
    high: tuple[int, ...],
    steps: tuple[int, ...],
    name: str,
    dtype: str = "float32",
) -> int:
    """Elements low[i], low[i] + steps[i] ... below high[i] of each stored axis."""
    inputs = [index]
    for part, numbers in (("begin", low), ("end", high), ("strides", steps)):
        inputs.append(e.builder.constant(np.array(numbers, np.int32), f"{name}/{part}"))
    columns = zip(low, high, steps, strict=True)
    shape = tuple(-(-(end - start) // step) for start, end, step in columns)
    options = schema.StridedSliceOptionsT()
    return e.builder.op("STRIDED_SLICE", inputs, shape, name, options, dtype)


def max_pool(e: Emission, op: net.MaxPool) -> Value:
    tensor = e.network.tensors[op.x]
    shape = e.network.tensors[op.output].shape
    x = e.last(e.values[op.x])
    if op.pads == _same_pads(x.shape, op.kernel, op) and op.dilations == (1, 1):
        padding = _SAME  # the kernel leaves what is outside out of the maximum
    else:
        x, padding = padded(e, x, op, op.kernel, shape, min(tensor.low, -1))
    name = integer_name(op.output)
    if op.dilations != (1, 1):
        return _dilated_max(e, x, op, shape, name)
    options = _place(schema.Pool2DOptionsT(), op, padding)
    options.filterHeight, options.filterWidth = op.kernel
    return _op(e, "MAX_POOL_2D", [x.index], shape, name, options)


def _dilated_max(
    e: Emission, x: Value, op: net.MaxPool, shape: tuple[int, ...], name: str
) -> Value:
    """The maximum of one slice for each place in the window: TFLite's pooling has no dilation."""
    n, channels, height, width = shape
    found: Value | None = None
    for i in range(op.kernel[0]):
        for j in range(op.kernel[1]):
            top, left = i * op.dilations[0], j * op.dilations[1]
            low = (0, top, left, 0)
            high = (
                n,
                top + (height - 1) * op.strides[0] + 1,
                left + (width - 1) * op.strides[1] + 1,
                channels,
            )
            part = f"{name}/place_{i}_{j}"
            index = strided_slice(e, x.index, low, high, (1, *op.strides, 1), part)
            piece = Value(index, shape, True)
            found = piece if found is None else e.binary("MAXIMUM", found, piece, f"{part}/max")
    assert found is not None
    return found
