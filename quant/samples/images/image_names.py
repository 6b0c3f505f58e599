"""Which files are images, and what a recipe may ask of them; on the standard library alone."""

from __future__ import annotations

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".webp", ".tif", ".tiff")
CHANNELS = {"rgb": 3, "bgr": 3, "gray": 1}
COLORS = tuple(CHANNELS)
DEFAULT_COLORS = {1: "gray", 3: "rgb"}
RESIZES = ("stretch", "letterbox", "crop")


def is_image(name: str) -> bool:
    """Whether a file is an image by its name, without folders."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
