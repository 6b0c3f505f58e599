"""TFLite operators in ONNX: one family a file, each ending in a table OPS: kind -> converter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from quant.tflite.building.builder import Builder
from quant.tflite.ops import (
    activation,
    arithmetic,
    cast,
    conv,
    dense,
    join,
    norm,
    pad,
    pool,
    reduce,
    resize,
    shape,
    slices,
)

CONVERTERS: Mapping[str, Callable[[Builder], None]] = {
    kind: converter
    for family in (
        activation,
        arithmetic,
        cast,
        conv,
        dense,
        join,
        norm,
        pad,
        pool,
        reduce,
        resize,
        shape,
        slices,
    )
    for kind, converter in family.OPS.items()
}
