"""Make data/images/*.png: four smooth random colour pictures of 80x80 for calibration.

    python make_images.py        (needs numpy and Pillow; under a second)

Each colour channel is a sum of a few slow waves, scaled to 16..239 and rounded to steps of 8 so
that the files stay small. The same seed gives the same pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SEED = 160
PICTURES = 4
SIDE = 80  # pixels
WAVES = 3
STEP = 8  # gray levels


def channel(rng: np.random.Generator) -> np.ndarray:
    """One colour channel, uint8 [SIDE, SIDE]."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    waves = np.zeros((SIDE, SIDE))
    for _ in range(WAVES):
        across, down = rng.uniform(-2.0, 2.0, size=2)  # waves per picture
        waves += np.sin(2 * np.pi * (across * x + down * y + rng.uniform()))
    unit = (waves - waves.min()) / (waves.max() - waves.min())
    return (np.rint((16 + 223 * unit) / STEP) * STEP).astype(np.uint8)


def main() -> None:
    folder = Path(__file__).resolve().parent / "data" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    for number in range(PICTURES):
        pixels = np.stack([channel(rng) for _ in range(3)], axis=-1)
        Image.fromarray(pixels).save(folder / f"{number}.png", optimize=True)


if __name__ == "__main__":
    main()
