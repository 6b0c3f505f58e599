"""Inputs that the file takes as YUV frames (`inputs_yuv_fmt`): two planes for each such input.

The SDK calibrates them with RGB, and puts the conversion in front of the network when it builds:
the board's program, simulator and accuracy_analysis then give an input NAME as NAME_y_channel and
NAME_uv_channel. Samples stay RGB here; what the network gets of one is what its frame says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.backends.rknn.params import RknnParams
from quant.samples.images import yuv
from quant.samples.images.yuv_format import PLANES, plane_name

Array = NDArray[Any]


def formats(params: RknnParams, count: int) -> list[str | None]:
    """nv12, nv21 or None of each of the network's inputs, in the SDK's order."""
    return list(params.quantize.rknn.get("inputs_yuv_fmt") or [None] * count)


def names(inputs: Sequence[str], params: RknnParams) -> list[str]:
    """The file's inputs, as the SDK names them."""
    found: list[str] = []
    for name, form in zip(inputs, formats(params, len(inputs)), strict=True):
        found += [name] if form is None else [plane_name(name, plane) for plane in PLANES]
    return found


def seen(arrays: Sequence[Array], params: RknnParams, axis: int = 1) -> list[Array]:
    """The samples as the network gets them from frames, in their own type and layout.

    axis: of the channels.
    """
    pairs = zip(arrays, formats(params, len(arrays)), strict=True)
    return [array if form is None else _seen(array, form, axis) for array, form in pairs]


def _seen(array: Array, form: str, axis: int) -> Array:
    rgb = np.moveaxis(array, axis, 1)
    pixels = yuv.decoded(*yuv.encoded(rgb, form), form)
    return np.ascontiguousarray(np.moveaxis(pixels, 1, axis).astype(array.dtype))


def given(arrays: Sequence[Array], params: RknnParams) -> list[Array]:
    """What simulator and board are given: two planes in place of each input that takes a frame.

    arrays: one an input, NCHW.
    """
    found: list[Array] = []
    for array, form in zip(arrays, formats(params, len(arrays)), strict=True):
        found += [array] if form is None else yuv.encoded(array, form)
    return found
