"""Which YUV frames there are, and what takes them; on the standard library alone."""

from __future__ import annotations

from collections.abc import Sequence

FORMATS = ("nv12", "nv21")


def is_frame(shape: Sequence[int]) -> bool:
    """Whether RGB of this shape, [N, 3, H, W], can come of frames: chroma has half of H and W."""
    return len(shape) == 4 and shape[1] == 3 and not shape[2] % 2 and not shape[3] % 2


PLANES = ("y", "uv")


def plane_name(name: str, plane: str) -> str:
    """What the SDK calls a plane of the input `name` that takes frames. plane: one of PLANES."""
    return f"{name}_{plane}_channel"
