"""Padding."""

from __future__ import annotations

import numpy as np
from ai_edge_litert.schema_py_generated import MirrorPadMode

from quant.tflite.building.builder import Builder
from quant.tflite.building.value import Value


def stored_pads(b: Builder, x: Value) -> list[int]:
    """The second input, [axes, 2] as TFLite counts, in ONNX's form: every begin, every end."""
    pairs = b.constant(1).reshape(x.rank, 2)
    return [int(pairs[axis, side]) for side in (0, 1) for axis in x.order]


def pad(b: Builder) -> None:
    x, value = b.value(0), b.optional(2)
    inputs = [b.stored(x), b.vector(stored_pads(b, x))]
    if value is not None:
        inputs.append(b.scalar(float(b.constant(2).reshape(())), x.dtype))
    b.define(b.emit("Pad", inputs, mode="constant"), x.order)


def mirror_pad(b: Builder) -> None:
    """REFLECT leaves the edge out, SYMMETRIC repeats it: ONNX 15 has only the first."""
    x = b.value(0)
    if b.op.options.mode == MirrorPadMode.REFLECT:
        name = b.emit("Pad", [b.stored(x), b.vector(stored_pads(b, x))], mode="reflect")
    else:
        name = symmetric(b, x)
    b.define(name, x.order)


def symmetric(b: Builder, x: Value) -> str:
    """Each padded axis taken by its mirrored indices."""
    name = b.stored(x)
    for axis, (begin, end) in enumerate(b.constant(1).reshape(x.rank, 2)):
        if begin or end:
            indices = np.pad(np.arange(x.shape[axis]), (int(begin), int(end)), "symmetric")
            name = b.emit("Gather", [name, b.vector(indices.tolist())], axis=x.order.index(axis))
    return name


OPS = {"PAD": pad, "PADV2": pad, "MIRROR_PAD": mirror_pad}
