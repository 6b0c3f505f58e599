"""Resizing of height and width, and moving them to and from channels."""

from __future__ import annotations

import numpy as np

from quant.tflite.building.builder import Builder
from quant.tflite.building.layout import CHANNELS_FIRST, arrange


def coordinates(b: Builder) -> str:
    """Which input place an output place stands for, in ONNX's words."""
    if b.op.options.alignCorners:
        return "align_corners"
    return "half_pixel" if b.op.options.halfPixelCenters else "asymmetric"


def resize(b: Builder, mode: str, nearest: str) -> None:
    """Whole factors go as scales, which more tools read; others as sizes."""
    have = arrange(b.value(0).shape, CHANNELS_FIRST)
    want = arrange(b.shape_out(), CHANNELS_FIRST)
    inputs = [b.channels_first(b.value(0)), ""]
    if any(n % m for n, m in zip(want, have, strict=True)):
        inputs += ["", b.vector(want)]
    else:
        factors = [n / m for n, m in zip(want, have, strict=True)]
        inputs += [b.initializer(np.asarray(factors, np.float32))]
    name = b.emit(
        "Resize",
        inputs,
        mode=mode,
        coordinate_transformation_mode=coordinates(b),
        nearest_mode=nearest,
    )
    b.define(name, CHANNELS_FIRST)


def resize_bilinear(b: Builder) -> None:
    resize(b, "linear", "floor")


def resize_nearest_neighbor(b: Builder) -> None:
    """TFLite rounds x * scale up from .5, or takes floor((x + 0.5) * scale), or the floor.

    The first two are round_prefer_ceil of ONNX's place, which has 0.5 less for half pixels.
    """
    nearest = "floor" if coordinates(b) == "asymmetric" else "round_prefer_ceil"
    resize(b, "nearest", nearest)


def space_to_depth(b: Builder) -> None:
    x = b.channels_first(b.value(0))
    b.define(b.emit("SpaceToDepth", [x], blocksize=b.op.options.blockSize), CHANNELS_FIRST)


def depth_to_space(b: Builder) -> None:
    x = b.channels_first(b.value(0))
    name = b.emit("DepthToSpace", [x], blocksize=b.op.options.blockSize, mode="DCR")
    b.define(name, CHANNELS_FIRST)


OPS = {
    "RESIZE_BILINEAR": resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": resize_nearest_neighbor,
    "SPACE_TO_DEPTH": space_to_depth,
    "DEPTH_TO_SPACE": depth_to_space,
}
