"""Joining and splitting along an axis."""

from __future__ import annotations

from quant.tflite.building.broadcast import align
from quant.tflite.building.builder import Builder
from quant.tflite.building.fused import activate
from quant.tflite.building.regroup import regroup, reshaped
from quant.tflite.building.value import Value


def concatenation(b: Builder) -> None:
    values = [b.value(i) for i in range(len(b.op.inputs))]
    inputs, order = align(b, values)
    axis = order.index(b.op.options.axis % values[0].rank)
    b.define(activate(b, b.emit("Concat", inputs, axis=axis)), order)


def pack(b: Builder) -> None:
    """Stack tensors along a new axis."""
    shape = b.shape_out()
    axis = b.op.options.axis % len(shape)
    one = (*shape[:axis], 1, *shape[axis + 1 :])
    values = [reshaped(b, b.value(i), one) for i in range(len(b.op.inputs))]
    inputs, order = align(b, values)
    b.define(b.emit("Concat", inputs, axis=order.index(axis)), order)


def pieces(b: Builder, x: Value, axis: int, lengths: list[int]) -> list[Value]:
    """x cut along a TFLite axis."""
    names = b.emit_many(
        "Split", [b.stored(x), b.vector(lengths)], len(lengths), axis=x.order.index(axis)
    )
    shapes = [(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in lengths]
    return [Value(n, s, x.order, x.dtype) for n, s in zip(names, shapes, strict=True)]


def define_all(b: Builder, values: list[Value]) -> None:
    for position, value in enumerate(values):
        b.define(value.name, value.order, position)


def split(b: Builder) -> None:
    """Inputs: the axis, x."""
    x, axis = b.value(1), b.integers(0)[0] % b.value(1).rank
    count = len(b.op.outputs)
    define_all(b, pieces(b, x, axis, [x.shape[axis] // count] * count))


def split_v(b: Builder) -> None:
    """Inputs: x, the lengths, the axis. The outputs' shapes resolve a length of -1."""
    x, axis = b.value(0), b.integers(2)[0] % b.value(0).rank
    lengths = [b.shape_out(i)[axis] for i in range(len(b.op.outputs))]
    define_all(b, pieces(b, x, axis, lengths))


def unpack(b: Builder) -> None:
    """Split along an axis and drop it."""
    x, axis = b.value(0), b.op.options.axis % b.value(0).rank
    cut = pieces(b, x, axis, [1] * x.shape[axis])
    define_all(b, [regroup(b, value, b.shape_out(i)) for i, value in enumerate(cut)])


OPS = {
    "CONCATENATION": concatenation,
    "PACK": pack,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "UNPACK": unpack,
}
