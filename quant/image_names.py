"""Which files of a folder are images, by their names. Standard library only: the front asks too."""

from __future__ import annotations

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".webp")


def is_image(name: str) -> bool:
    """Whether a file is an image by its name, without folders."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
