"""What a file of plain numbers holds, as the recipe says: no such file tells it itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from quant.samples.input import Raw


@dataclass(frozen=True)
class RawForm:
    """One sample. shape: without the batch; None for the network's own. frame: nv12 or nv21."""

    dtype: np.dtype[Any]  # little endian
    shape: tuple[int, ...] | None = None
    frame: str | None = None


def raw_form(told: Raw | None) -> RawForm | None:
    if told is None:
        return None
    dtype = np.dtype(told.dtype or np.uint8).newbyteorder("<")
    return RawForm(dtype, told.shape, told.frame)


def is_turned(shape: tuple[int, ...], single: tuple[int, ...]) -> bool:
    """Whether a sample of `shape` has its channels last, and one of the network has them first."""
    return (
        len(single) == 3 and shape != single and (shape[2:], shape[:2]) == (single[:1], single[1:])
    )


def frame_shape(single: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of a frame's bytes, Y above U and V, for a network's [3, H, W]."""
    return single[1] * 3 // 2, single[2]


def sample_bytes(form: RawForm, single: tuple[int, ...]) -> int:
    """Bytes of one sample of an input of this shape without its batch."""
    shape = frame_shape(single) if form.frame else form.shape or single
    return math.prod(shape) * form.dtype.itemsize
