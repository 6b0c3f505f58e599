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
    """[N, C, H, W] -> [N, C, h, w, kh, kw], a view of x padded with `fill`."""
    top, left, bottom, right = pads
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    spread = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    slide: Any = np.lib.stride_tricks.sliding_window_view  # NumPy's types know one axis alone
    view: Array = slide(x, spread, axis=(2, 3))
    return view[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]
