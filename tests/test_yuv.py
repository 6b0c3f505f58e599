"""YUV frames: published values of BT.601, and that nothing but rounding is lost on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from quant.fault import Fault
from quant.samples.images.yuv import decoded, encoded
from quant.samples.images.yuv_format import FORMATS

# ITU-R BT.601 (and Table 2 of BT.1700): colour bars of 100 %, 8 bits.
BARS = {
    (255, 255, 255): (235, 128, 128),
    (255, 255, 0): (210, 16, 146),
    (0, 255, 255): (170, 166, 16),
    (0, 255, 0): (145, 54, 34),
    (255, 0, 255): (106, 202, 222),
    (255, 0, 0): (81, 90, 240),
    (0, 0, 255): (41, 240, 110),
    (0, 0, 0): (16, 128, 128),
}


def plain(color: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """A picture of one colour, [1, 3, 4, 6]."""
    return np.array(color, np.float32).reshape(1, 3, 1, 1) * np.ones((1, 3, 4, 6), np.float32)


@pytest.mark.parametrize("rgb", BARS)
@pytest.mark.parametrize("form", FORMATS)
def test_colour_bars(rgb: tuple[int, int, int], form: str) -> None:
    luma, chroma = encoded(plain(rgb), form)
    y, *uv = BARS[rgb]
    assert (luma.shape, chroma.shape) == ((1, 1, 4, 6), (1, 1, 2, 6))
    assert (luma == y).all()
    assert chroma[0, 0, 0, :2].tolist() == (uv if form == "nv12" else uv[::-1])
    assert np.abs(decoded(luma, chroma, form).astype(int) - plain(rgb)).max() <= 1


def test_a_block_shares_its_chroma() -> None:
    picture = plain((200, 40, 90))
    picture[..., 0, 0] = (60, 60, 60)
    luma, chroma = encoded(picture, "nv12")
    assert len(np.unique(luma)) == 2
    assert len(np.unique(chroma[0, 0, :, 2:])) == 2  # U and V of the other blocks
    seen = decoded(luma, chroma, "nv12")
    assert (seen[..., 2:] == seen[..., 3:4, 3:4]).all()
    assert (seen[0, :, 0, 1] != seen[0, :, 0, 3]).any()  # a neighbour of the gray pixel


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((1, 3, 5, 4)), "both even"),
        (np.zeros((1, 1, 4, 4)), "both even"),
        (np.full((1, 3, 4, 4), 256.0), "out of 0 to 255"),
        (np.full((1, 3, 4, 4), -0.5), "out of 0 to 255"),
    ],
)
def test_what_is_no_frame(array: np.ndarray[Any, Any], said: str) -> None:
    with pytest.raises(Fault) as raised:
        encoded(array, "nv12")
    assert said in raised.value.what
