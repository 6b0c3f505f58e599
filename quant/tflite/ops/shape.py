"""Operators that only move or repeat elements."""

from __future__ import annotations

import numpy as np

from quant.tflite.building.builder import Builder
from quant.tflite.building.flatten import flat_columns
from quant.tflite.building.regroup import order_after, reshaped


def reshape(b: Builder) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the file or LiteRT knows the output's shape."""
    x, shape = b.value(0), b.shape_out()
    if x.array is not None:
        b.define_constant(x.array.reshape(shape))
        return
    if is_flattened_for_dense(b) and order_after(x.order, x.shape, shape) is None:
        name, columns = flat_columns(b, x)
        b.define(name, columns=columns)
        return
    result = reshaped(b, x, shape)
    b.define(result.name, result.order)


def is_flattened_for_dense(b: Builder) -> bool:
    """Whether only fully connected layers with constant weights read the [N, K] result."""
    x, shape, index = b.value(0), b.shape_out(), b.op.outputs[0]
    readers = b.graph.consumers.get(index, ())
    return (
        len(shape) == 2
        and x.rank > 1
        and shape[0] == x.shape[0]
        and x.order[0] == 0
        and index not in b.graph.outputs
        and bool(readers)
        and all(
            reader.kind == "FULLY_CONNECTED"
            and reader.inputs[0] == index
            and b.graph.is_constant(reader.inputs[1])
            for reader in readers
        )
    )


def transpose(b: Builder) -> None:
    """Nothing moves: only which TFLite axis a stored axis holds."""
    x, perm = b.value(0), [axis % b.value(0).rank for axis in b.integers(1)]
    if x.array is not None:
        b.define_constant(x.array.transpose(perm))
        return
    b.define(b.stored(x), tuple(perm.index(axis) for axis in x.order))


def shape(b: Builder) -> None:
    b.define_constant(np.asarray(b.value(0).shape, b.dtype_out()))


def tile(b: Builder) -> None:
    x, repeats = b.value(0), b.integers(1)
    b.define(b.emit("Tile", [b.stored(x), b.vector([repeats[i] for i in x.order])]), x.order)


def broadcast_to(b: Builder) -> None:
    want = b.shape_out()
    x = b.value(0)
    x = reshaped(b, x, (1,) * (len(want) - x.rank) + x.shape)
    b.define(b.emit("Expand", [b.stored(x), b.vector([want[i] for i in x.order])]), x.order)


def fill(b: Builder) -> None:
    b.define_constant(np.full(b.shape_out(), b.constant(1)))


def zeros_like(b: Builder) -> None:
    b.define_constant(np.zeros(b.shape_out(), b.dtype_out()))


OPS = {
    "RESHAPE": reshape,
    "SQUEEZE": reshape,
    "EXPAND_DIMS": reshape,
    "TRANSPOSE": transpose,
    "SHAPE": shape,
    "TILE": tile,
    "BROADCAST_TO": broadcast_to,
    "FILL": fill,
    "ZEROS_LIKE": zeros_like,
}
