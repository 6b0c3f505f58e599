"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from quant.tflite.building.builder import Builder
from quant.tflite.building.layout import CHANNELS_FIRST, without
from quant.tflite.building.regroup import regroup
from quant.tflite.building.value import Value

GLOBAL_POOLS = {"ReduceMean": "GlobalAveragePool", "ReduceMax": "GlobalMaxPool"}


def reduction(kind: str) -> Callable[[Builder], None]:
    """A converter to one ONNX reduction, or to a global pool over height and width."""

    def convert(b: Builder) -> None:
        x = b.value(0)
        axes = sorted({axis % x.rank for axis in b.integers(1)})
        if kind in GLOBAL_POOLS and axes == [1, 2] and x.order == CHANNELS_FIRST:
            global_pool(b, GLOBAL_POOLS[kind], x)
            return
        keep = bool(b.op.options.keepDims)
        name = reduced(b, kind, b.stored(x), sorted(x.order.index(a) for a in axes), keep)
        b.define(name, x.order if keep else without(x.order, axes))

    return convert


def reduced(b: Builder, kind: str, x: str, axes: list[int], keep: bool) -> str:
    if not axes:  # ONNX would reduce all of them
        return x
    if kind == "ReduceSum":  # its axes became an input in opset 13
        return b.emit(kind, [x, b.vector(axes)], keepdims=int(keep))
    return b.emit(kind, [x], axes=axes, keepdims=int(keep))


def global_pool(b: Builder, kind: str, x: Value) -> None:
    n, _, _, c = x.shape
    pooled = Value(b.emit(kind, [x.name]), (n, 1, 1, c), CHANNELS_FIRST, x.dtype)
    result = regroup(b, pooled, b.shape_out())
    b.define(result.name, result.order)


def arg(kind: str) -> Callable[[Builder], None]:
    """The first index of the largest or smallest; ONNX always counts in int64."""

    def convert(b: Builder) -> None:
        x = b.value(0)
        axis = b.integers(1)[0] % x.rank
        name = b.emit(kind, [b.stored(x)], axis=x.order.index(axis), keepdims=0)
        if b.dtype_out() == np.int32:
            name = b.emit("Cast", [name], to=TensorProto.INT32)
        b.define(name, without(x.order, [axis]))

    return convert


OPS = {
    "MEAN": reduction("ReduceMean"),
    "SUM": reduction("ReduceSum"),
    "REDUCE_MAX": reduction("ReduceMax"),
    "REDUCE_MIN": reduction("ReduceMin"),
    "REDUCE_PROD": reduction("ReduceProd"),
    "ARG_MAX": arg("ArgMax"),
    "ARG_MIN": arg("ArgMin"),
}
