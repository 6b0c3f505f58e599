"""What a recipe says of one input of a network, and of its files of plain numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Raw:
    """One sample in a file of plain numbers. shape: without the batch; None for the network's."""

    dtype: str | None = None  # None for uint8
    shape: tuple[int, ...] | None = None
    frame: str | None = None  # nv12 or nv21


@dataclass(frozen=True)
class Input:
    """One network input. shape has its batch; mean and std are per channel, in pixel units."""

    shape: tuple[int, ...] | None = None
    dtype: str = "float32"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    color: str | None = None  # rgb, bgr or gray
    resize: str | None = None  # stretch, letterbox or crop
    pad: int = 114  # gray value around a letterboxed image
    bits: int | None = None  # of a pixel; None for 8
    raw: Raw | None = None  # what its files of plain numbers hold

    @property
    def is_normalized(self) -> bool:
        return self.mean is not None or self.std is not None
