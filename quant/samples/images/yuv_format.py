"""Which YUV frames there are, and what takes them; on the standard library alone."""

from __future__ import annotations

from collections.abc import Sequence

FORMATS = ("nv12", "nv21")


def is_frame(shape: Sequence[int]) -> bool:
    """Whether RGB of this shape, [N, 3, H, W], can come of frames: chroma has half of H and W."""
    return len(shape) == 4 and shape[1] == 3 and not shape[2] % 2 and not shape[3] % 2
