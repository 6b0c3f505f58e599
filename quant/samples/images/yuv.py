"""NV12 and NV21 frames: a plane of Y, then one of U and V in turn at half the width and height.

ITU-R BT.601 of limited range (Y 16 to 235, U and V 16 to 240), chroma of a block of 2 x 2 pixels
its mean one way and repeated the other: what rknn-toolkit2 puts into a file for `inputs_yuv_fmt`.
Measured on 2.5.0: its simulator's RGB is within 2 of `decoded` (int8 weights).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fault import Fault
from quant.samples.images.yuv_format import is_frame

Pixels = NDArray[np.uint8]

# Y, U and V of R, G and B in 0..255, then what is added.
_ENCODE = (
    np.array(
        [
            [65.481, 128.553, 24.966],
            [-37.797, -74.203, 112.0],
            [112.0, -93.786, -18.214],
        ]
    )
    / 255
)
_OFFSET = np.array([16.0, 128.0, 128.0])
_DECODE = np.linalg.inv(_ENCODE)


def encoded(rgb: NDArray[Any], form: str, name: str = "input") -> tuple[Pixels, Pixels]:
    """The planes [N, 1, H, W] and [N, 1, H / 2, W] of pixels [N, 3, H, W] in 0..255.

    form: of yuv_format.FORMATS. Raises Fault on other numbers than pixels, and where `is_frame`
    says no.
    """
    if not is_frame(rgb.shape):
        raise Fault(
            f"`{name}` is {list(rgb.shape)}, and YUV frames are for [N, 3, HEIGHT, WIDTH], both "
            "even",
            "write null for it in `inputs_yuv_fmt`",
        )
    if rgb.size and (rgb.min() < 0 or rgb.max() > 255):
        raise Fault(
            f"`{name}`: holds numbers out of 0 to 255, and the file takes {form} frames",
            "give plain pixels",
        )
    yuv = np.einsum("dc,nchw->ndhw", _ENCODE, rgb) + _OFFSET[:, None, None]
    count, _, height, width = rgb.shape
    blocks = yuv[:, 1:].reshape(count, 2, height // 2, 2, width // 2, 2).mean((3, 5))
    if form == "nv21":
        blocks = blocks[:, ::-1]
    chroma = blocks.transpose(0, 2, 3, 1).reshape(count, 1, height // 2, width)
    return _pixels(yuv[:, :1]), _pixels(chroma)


def decoded(luma: NDArray[Any], chroma: NDArray[Any], form: str) -> Pixels:
    """Pixels [N, 3, H, W], RGB, of the planes [N, 1, H, W] and [N, 1, H / 2, W]."""
    count, _, height, width = luma.shape
    pairs = chroma.reshape(count, height // 2, width // 2, 2).transpose(0, 3, 1, 2)
    if form == "nv21":
        pairs = pairs[:, ::-1]
    full = pairs.repeat(2, axis=2).repeat(2, axis=3)
    yuv = np.concatenate([luma, full], axis=1) - _OFFSET[:, None, None]
    return _pixels(np.einsum("dc,nchw->ndhw", _DECODE, yuv))


def _pixels(values: NDArray[Any]) -> Pixels:
    """Rounded half up, so that any processor gives the same; within 0..255."""
    rounded: NDArray[np.float64] = np.floor(values + 0.5)
    return rounded.clip(0, 255).astype(np.uint8)
