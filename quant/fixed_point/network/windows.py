"""The windows of a convolution or pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def windows(
    x: Array,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    fill: int,
) -> Array:
    """[N, C, H, W] -> [N, C, h, w, kh, kw], a view of x padded with `fill`.

    Raises ValueError where a window is larger than that.
    """
    x = _padded(x, pads, fill)
    batch, channels, height, width = x.shape
    spread = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if spread[0] > height or spread[1] > width:
        raise ValueError(f"a window of {spread} is larger than what it reads, {[height, width]}")
    places = [(height - spread[0]) // strides[0] + 1, (width - spread[1]) // strides[1] + 1]
    plane, channel, row, column = x.strides

    def steps(counts: Sequence[int]) -> tuple[int, int]:
        return row * counts[0], column * counts[1]

    return np.lib.stride_tricks.as_strided(
        x,
        (batch, channels, *places, *kernel),
        (plane, channel, *steps(strides), *steps(dilations)),
        writeable=False,
    )


def _padded(x: Array, pads: Sequence[int], fill: int) -> Array:
    """As np.pad, which takes longer than all the rest where maps are small."""
    if not any(pads):
        return x
    top, left, bottom, right = pads
    batch, channels, height, width = x.shape
    made = np.full((batch, channels, top + height + bottom, left + width + right), fill, x.dtype)
    made[:, :, top : top + height, left : left + width] = x
    return made
