"""Gray images of more than 8 bits a pixel, which cameras, depth and thermal sensors give.

PNG and TIFF hold 16 bits whatever the sensor has: how many count, the recipe says.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from quant.fault import Fault

LEAST, MOST = 9, 16
_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")


def largest(bits: int) -> int:
    return (1 << bits) - 1


def is_deep_color(image: ImageFile) -> bool:
    """Whether an image, not yet decoded, has channels of 16 bits: Pillow keeps 8 without a word."""
    if image.mode not in ("RGB", "RGBA", "LA", "CMYK"):
        return False
    if image.format == "TIFF":
        depths = getattr(image, "tag_v2", {}).get(258, (8,))  # BitsPerSample
        return any(depth > 8 for depth in (depths if isinstance(depths, tuple) else (depths,)))
    for tile in image.tile:
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if image.format == "PPM" and isinstance(arguments[-1], int):
            return arguments[-1] > 255  # its largest value
        if any("16" in str(one) for one in arguments):
            return True
    return False


def fitted(
    image: Image.Image, bits: int, fit: Callable[[Image.Image], Image.Image], name: str
) -> tuple[NDArray[np.uint16], bool]:
    """A decoded gray image as uint16 [height, width, 1], and whether it was resized.

    fit: brings an image to the network's size. Raises Fault on an image of 8 bits or in colour,
    and on numbers that `bits` bits can't hold.
    """
    if image.mode not in _MODES:
        raise Fault(
            f"{name}: no gray image of 16 bits a pixel, and its input says `bits: {bits}`",
            "give PNG or TIFF files of 16 bits a pixel, or delete `bits`",
        )
    values = np.asarray(image)
    high = int(values.max(initial=0))
    if high > largest(bits) or int(values.min(initial=0)) < 0:
        raise Fault(
            f"{name}: holds {high:,}, and {bits} bits hold at most {largest(bits):,}",
            "write more `bits`; where they stand in the upper places of 16, `bits: 16`",
        )
    # float32 holds them exactly, and Pillow resizes it without rounding in between.
    before = Image.fromarray(values.astype(np.float32))
    after = fit(before)
    rounded: NDArray[np.float64] = np.floor(np.asarray(after, np.float64) + 0.5)
    pixels = rounded.clip(0, largest(bits)).astype(np.uint16)
    return pixels[:, :, None], after is not before
