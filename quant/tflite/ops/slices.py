"""Taking parts of a tensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quant.tflite.building.builder import Builder
from quant.tflite.building.layout import plain
from quant.tflite.building.regroup import regroup
from quant.tflite.building.value import Value

BEFORE_FIRST = np.iinfo(np.int64).min  # an end of -1 would count from the back


def take(b: Builder, x: Value, parts: Sequence[slice]) -> Value:
    """x[parts], with a whole slice for each TFLite axis that stays."""
    bounds = [part.indices(n) for part, n in zip(parts, x.shape, strict=True)]
    cut = [axis for axis, n in enumerate(x.shape) if bounds[axis] != (0, n, 1)]
    shape = tuple(len(range(*bound)) for bound in bounds)
    if not cut:
        return Value(b.stored(x), shape, x.order, x.dtype)
    ends = [BEFORE_FIRST if bounds[axis][1] < 0 else bounds[axis][1] for axis in cut]
    name = b.emit(
        "Slice",
        [
            b.stored(x),
            b.vector([bounds[axis][0] for axis in cut]),
            b.vector(ends),
            b.vector([x.order.index(axis) for axis in cut]),
            b.vector([bounds[axis][2] for axis in cut]),
        ],
    )
    return Value(name, shape, x.order, x.dtype)


def slice_(b: Builder) -> None:
    """Inputs: x, begins, lengths; the output's shape resolves a length of -1."""
    x, begins = b.value(0), b.integers(1)
    ends = [begin + n for begin, n in zip(begins, b.shape_out(), strict=True)]
    parts = [slice(begin, end) for begin, end in zip(begins, ends, strict=True)]
    b.define(take(b, x, parts).name, x.order)


def strided_slice(b: Builder) -> None:
    x = b.value(0)
    if x.array is not None:
        b.define_constant(x.array[tuple(python_index(b))])
        return
    result = regroup(b, take(b, x, whole_slices(b)), b.shape_out())
    b.define(result.name, result.order)


def python_index(b: Builder) -> list[slice | int | None]:
    """What stands between the brackets in Python, without an ellipsis."""
    options, begins, ends, strides = b.op.options, *(b.integers(i) for i in (1, 2, 3))
    rank = b.value(0).rank
    index: list[slice | int | None] = []
    new_axes = sum(bool(options.newAxisMask >> i & 1) for i in range(len(begins)))
    for i, (begin, end, stride) in enumerate(zip(begins, ends, strides, strict=True)):
        end = begin + end if options.offset else end
        if options.ellipsisMask >> i & 1:
            index += [slice(None)] * (rank - (len(begins) - new_axes - 1))
        elif options.newAxisMask >> i & 1:
            index.append(None)
        elif options.shrinkAxisMask >> i & 1:
            index.append(begin)
        else:
            start = None if options.beginMask >> i & 1 else begin
            stop = None if options.endMask >> i & 1 else end
            index.append(slice(start, stop, stride))
    taken = sum(part is not None for part in index)
    return index + [slice(None)] * (rank - taken)


def whole_slices(b: Builder) -> list[slice]:
    """One slice a TFLite axis: a single index keeps its axis, at length 1."""
    found: list[slice] = []
    for part in python_index(b):
        if isinstance(part, slice):
            found.append(part)
        elif part is not None:
            found.append(slice(part, part + 1 if part != -1 else None))
    return found


def gather(b: Builder) -> None:
    """Take slices along one axis; the axes of the indices stand where that axis stood."""
    x, indices, options = b.value(0), b.value(1), b.op.options
    if options.batchDims:
        raise b.fault("batch_dims is not 0", "convert the network again without it")
    axis, extra = options.axis % x.rank, indices.rank - 1
    name = b.emit(
        "Gather",
        [b.stored(x), b.stored(indices, plain(indices.rank))],
        axis=x.order.index(axis),
    )
    order: list[int] = []
    for held in x.order:
        if held == axis:
            order += range(axis, axis + indices.rank)
        else:
            order.append(held if held < axis else held + extra)
    b.define(name, tuple(order))


def reverse(b: Builder) -> None:
    x = b.value(0)
    axes = {axis % x.rank for axis in b.integers(1)}
    parts = [slice(None, None, -1 if axis in axes else 1) for axis in range(x.rank)]
    b.define(take(b, x, parts).name, x.order)


OPS = {
    "SLICE": slice_,
    "STRIDED_SLICE": strided_slice,
    "GATHER": gather,
    "REVERSE_V2": reverse,
}
