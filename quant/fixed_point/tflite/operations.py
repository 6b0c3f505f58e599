"""Operations of the integer network -> TFLite operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from quant.fault import Fault
from quant.fixed_point.network import network as net
from quant.fixed_point.network.network import INT8_HIGH, UINT8_HIGH, Integers, integer_name
from quant.fixed_point.tflite import windows
from quant.fixed_point.tflite.emission import FIRST, LAST, Emission, Value
from quant.fixed_point.tflite.rescale import rescaled, weighted


def _shape(e: Emission, op: Any) -> tuple[int, ...]:
    return e.network.tensors[op.output].shape


def _matrix(e: Emission, op: net.MatrixProduct) -> Value:
    x, shape = e.first(e.values[op.x]), _shape(e, op)

    def multiply(weight: Integers, bias: Integers | None, name: str) -> Value:
        options = schema.FullyConnectedOptionsT()
        options.keepNumDims = True
        bias = np.zeros(weight.shape[1], np.int64) if bias is None else bias
        filters = e.builder.weight(weight.T, f"{name}/weight")
        inputs = [x.index, filters, e.builder.whole(bias, f"{name}/bias")]
        return Value(e.builder.op("FULLY_CONNECTED", inputs, shape, name, options), shape)

    return weighted(e, op, multiply, op.weight.shape[1])


def _tensor_product(e: Emission, op: net.TensorProduct) -> Value:
    a, b = (e.first(e.values[name]) for name in (op.a, op.b))
    name, shape = integer_name(op.output), _shape(e, op)
    options = schema.BatchMatMulOptionsT()
    index = e.builder.op("BATCH_MATMUL", [a.index, b.index], shape, f"{name}/acc", options)
    return rescaled(e, Value(index, shape), op.rescale, op.output)


def _affine(e: Emission, op: net.Affine) -> Value:
    acc = e.constant("MUL", e.values[op.x], op.weight, f"{integer_name(op.output)}/acc")
    return rescaled(e, acc, op.rescale, op.output)


def _sum(e: Emission, op: net.Sum) -> Value:
    name = integer_name(op.output)
    a, b = e.aligned(e.values[op.a], e.values[op.b])
    if op.factor_a != 1:
        a = e.number("MUL", a, op.factor_a, f"{name}/a")
    if op.factor_b != 1:
        b = e.number("MUL", b, op.factor_b, f"{name}/b")
    kind = "ADD" if op.sign > 0 else "SUB"
    acc = e.binary(kind, a, b, f"{name}/acc", _shape(e, op))
    return rescaled(e, acc, op.rescale, op.output)


def _product(e: Emission, op: net.Product) -> Value:
    a, b = e.aligned(e.values[op.a], e.values[op.b])
    acc = e.binary("MUL", a, b, f"{integer_name(op.output)}/acc", _shape(e, op))
    return rescaled(e, acc, op.rescale, op.output)


def _reduced(e: Emission, kind: str, op: Any, name: str) -> Value:
    x = e.values[op.x]
    kept = [axis for axis in range(len(x.shape)) if axis not in op.axes]
    if not op.keepdims and [x.axis(axis) for axis in kept] != sorted(x.axis(a) for a in kept):
        x = e.first(x)
    axes = np.array(sorted(x.axis(axis) for axis in op.axes), np.int32)
    options = schema.ReducerOptionsT()
    options.keepDims = op.keepdims
    shape = _shape(e, op)
    is_last = x.is_last and op.keepdims
    result = Value(0, shape, is_last)
    inputs = [x.index, e.builder.constant(axes, f"{name}/axes")]
    return Value(e.builder.op(kind, inputs, result.stored_shape, name, options), shape, is_last)


def _reduction(e: Emission, op: net.Reduction) -> Value:
    acc = _reduced(e, "SUM", op, f"{integer_name(op.output)}/acc")
    return rescaled(e, acc, op.rescale, op.output)


def _maximum(e: Emission, op: net.Maximum) -> Value:
    return _reduced(e, "REDUCE_MAX", op, integer_name(op.output))


def _requantize(e: Emission, op: net.Requantize) -> Value:
    return rescaled(e, e.values[op.x], op.rescale, op.output)


def _looked_up(e: Emission, place: Value, table: Integers, name: str) -> Value:
    options = schema.CastOptionsT()
    options.inDataType, options.outDataType = schema.TensorType.FLOAT32, schema.TensorType.INT32
    shape = place.stored_shape
    index = e.builder.op("CAST", [place.index], shape, f"{name}/index", options, "int32")
    inputs = [e.builder.whole(table, f"{name}/table"), index]
    made = e.builder.op("GATHER", inputs, shape, name, schema.GatherOptionsT())
    return Value(made, place.shape, place.is_last)


def _lookup(e: Emission, op: net.Lookup) -> Value:
    name = integer_name(op.output)
    place = e.values[op.x]
    if op.first != 0:
        place = e.number("ADD", place, -op.first, f"{name}/place")
    return _looked_up(e, place, op.table, name)


def _softmax(e: Emission, op: net.Softmax) -> Value:
    """A quotient's floor, put right by the remainder: no division need be correctly rounded."""
    name, x = integer_name(op.output), e.values[op.x]
    reduced = tuple(1 if axis == op.axis else n for axis, n in enumerate(x.shape))

    def over_axis(kind: str, value: Value, part: str) -> Value:
        options = schema.ReducerOptionsT()
        options.keepDims = True
        axes = e.builder.constant(np.array([x.axis(op.axis)], np.int32), f"{name}/axes")
        result = Value(0, reduced, x.is_last)
        inputs = [value.index, axes]
        index = e.builder.op(kind, inputs, result.stored_shape, f"{name}/{part}", options)
        return Value(index, reduced, x.is_last)

    top = over_axis("REDUCE_MAX", x, "max")
    distance = e.binary("SUB", top, x, f"{name}/distance", x.shape)
    power = _looked_up(e, distance, op.table, f"{name}/power")
    total = over_axis("SUM", power, "total")
    if op.is_unsigned:  # (2 * 255 * T + sum) / (2 * sum)
        twice = e.number("MUL", power, 2 * UINT8_HIGH, f"{name}/twice")
        scaled = e.binary("ADD", twice, total, f"{name}/scaled")
        total = e.number("MUL", total, 2, f"{name}/divisor")
    else:
        scaled = e.number("MUL", power, 128, f"{name}/scaled")
    floor = e.unary("FLOOR", e.binary("DIV", scaled, total, f"{name}/quotient"), f"{name}/floor")
    product = e.binary("MUL", floor, total, f"{name}/product")
    rest = e.binary("SUB", scaled, product, f"{name}/rest")
    less = e.clipped(rest, -1, 0, f"{name}/less")
    more = e.clipped(e.binary("SUB", rest, total, f"{name}/over"), -1, 0, f"{name}/more")
    correction = e.binary("ADD", less, more, f"{name}/correction")
    corrected = e.binary("ADD", floor, correction, f"{name}/corrected")
    exact = e.number("ADD", corrected, 1, f"{name}/exact")
    return e.clipped(exact, 0, UINT8_HIGH if op.is_unsigned else INT8_HIGH, name)


def _reshape(e: Emission, op: net.Reshape) -> Value:
    x, shape = e.first(e.values[op.x]), _shape(e, op)
    name = integer_name(op.output)
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(shape, np.int32)
    wanted = e.builder.constant(np.array(shape, np.int32), f"{name}/shape")
    dtype = e.builder.dtype(x.index)
    return Value(e.builder.op("RESHAPE", [x.index, wanted], shape, name, options, dtype), shape)


def _transpose(e: Emission, op: net.Transpose) -> Value:
    """Between the two orders nothing moves: the result is read in another order."""
    x, shape = e.values[op.x], _shape(e, op)
    if x.is_last and op.perm == LAST:
        return Value(x.index, shape)
    if not x.is_last and op.perm == FIRST:
        return Value(x.index, shape, True)
    x = e.first(x)
    return Value(e.transpose(x.index, op.perm, shape, integer_name(op.output)), shape)


def _concat(e: Emission, op: net.Concat) -> Value:
    values = [e.values[name] for name in op.inputs]
    if any(value.is_last for value in values):
        values = [e.last(value) for value in values]
    options = schema.ConcatenationOptionsT()
    options.axis = values[0].axis(op.axis)
    result = Value(0, _shape(e, op), values[0].is_last)
    indices = [value.index for value in values]
    name, dtype = integer_name(op.output), e.builder.dtype(indices[0])
    made = e.builder.op("CONCATENATION", indices, result.stored_shape, name, options, dtype)
    return Value(made, result.shape, result.is_last)


def _slice(e: Emission, op: net.Slice) -> Value:
    x = e.values[op.x]
    low, high, steps = (x.stored(numbers) for numbers in (op.starts, op.ends, op.steps))
    dtype = e.builder.dtype(x.index)
    index = windows.strided_slice(e, x.index, low, high, steps, integer_name(op.output), dtype)
    return Value(index, _shape(e, op), x.is_last)


def _pad(e: Emission, op: net.Pad) -> Value:
    x, name = e.values[op.x], integer_name(op.output)
    around = np.array([x.stored(op.before), x.stored(op.after)], np.int32).T
    pads = e.builder.constant(np.ascontiguousarray(around), f"{name}/pads")
    result = Value(0, _shape(e, op), x.is_last)
    index = windows.pad_op(e, x.index, pads, op.value, result.stored_shape, name)
    return Value(index, result.shape, x.is_last)


def _take(e: Emission, op: net.Take) -> Value:
    x, name = e.values[op.x], integer_name(op.output)
    indices = e.builder.constant(np.array(op.indices, np.int32), f"{name}/indices")
    options = schema.GatherOptionsT()
    options.axis = x.axis(op.axis)
    result = Value(0, _shape(e, op), x.is_last)
    dtype = e.builder.dtype(x.index)
    inputs = [x.index, indices]
    made = e.builder.op("GATHER", inputs, result.stored_shape, name, options, dtype)
    return Value(made, result.shape, x.is_last)


def _embedding(e: Emission, op: net.Embedding) -> Value:
    """Rows of bytes are picked, and only they become float32."""
    name, shape = integer_name(op.output), _shape(e, op)
    table = e.builder.constant(op.table.astype(np.int8), f"{name}/table")
    inputs = [table, e.first(e.values[op.indices]).index]
    rows = e.builder.op("GATHER", inputs, shape, f"{name}/rows", schema.GatherOptionsT(), "int8")
    return Value(e.builder.op("DEQUANTIZE", [rows], shape, name), shape)


def _float(e: Emission, op: net.FloatNode) -> Value:
    raise Fault(
        f"`{op.output}` is left in float, which a TFLite file of whole numbers can't hold",
        "use the ONNX file, or cut the graph before it",
    )


EMITTERS: Mapping[type, Callable[[Emission, Any], Value]] = {
    net.Affine: _affine,
    net.Concat: _concat,
    net.Convolution: windows.convolution,
    net.Embedding: _embedding,
    net.FloatNode: _float,
    net.Lookup: _lookup,
    net.MatrixProduct: _matrix,
    net.MaxPool: windows.max_pool,
    net.Maximum: _maximum,
    net.Pad: _pad,
    net.Product: _product,
    net.Reduction: _reduction,
    net.Requantize: _requantize,
    net.Reshape: _reshape,
    net.Slice: _slice,
    net.Softmax: _softmax,
    net.Sum: _sum,
    net.Take: _take,
    net.TensorProduct: _tensor_product,
    net.Transpose: _transpose,
}
