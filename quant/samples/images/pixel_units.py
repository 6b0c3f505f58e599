"""Which mean and std go with which data: of pixels, 0 to 255, or of data in 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence

PIXELS = 16.0  # a mean or std this large is in pixel units of 0 to 255
LARGEST = 255.0
NORMALIZED = 8.0  # normalised data lies within so many standard deviations

Numbers = Sequence[float] | None


def is_in_pixels(mean: Numbers, std: Numbers) -> bool:
    return max((*(mean or ()), *(std or ()), 0.0)) >= PIXELS


def is_in_ones(mean: Numbers, std: Numbers) -> bool:
    """Whether they are for data in 0 to 1, as torchvision's 0.485 and 0.229 are."""
    if std is not None:
        return max(std) < 1 and max(map(abs, mean or [0.0])) <= 1
    return mean is not None and 0 < max(mean) < 1 and min(mean) >= 0


def in_pixel_units(mean: Numbers, std: Numbers, largest: float = LARGEST) -> str:
    """`mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375]`"""
    told = {"mean": mean, "std": std or [1.0]}
    return ", ".join(
        f"{key}: [{', '.join(f'{round(largest * value, 3):g}' for value in values)}]"
        for key, values in told.items()
        if values is not None
    )
