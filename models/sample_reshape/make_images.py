"""Make smooth random colour pictures for calibration: eight of 64x64 in data/images.

    python make_images.py                                  (needs numpy and Pillow; under a second)
    python make_images.py SEED PICTURES SIDE FOLDER        (those of another model)

Each colour channel is a sum of a few slow waves, scaled to 16..239 and rounded to steps of 8 so
that the files stay small. The same seed gives the same pixels.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

OURS = ("64", "8", "64", str(Path(__file__).resolve().parent / "data" / "images"))
WAVES = 3
STEP = 8  # gray levels


def channel(rng: np.random.Generator, side: int) -> np.ndarray:
    """One colour channel, uint8 [side, side]."""
    y, x = np.mgrid[0:side, 0:side] / side
    waves = np.zeros((side, side))
    for _ in range(WAVES):
        across, down = rng.uniform(-2.0, 2.0, size=2)  # waves per picture
        waves += np.sin(2 * np.pi * (across * x + down * y + rng.uniform()))
    unit = (waves - waves.min()) / (waves.max() - waves.min())
    return (np.rint((16 + 223 * unit) / STEP) * STEP).astype(np.uint8)


def main() -> None:
    seed, pictures, side, folder = sys.argv[1:] or OURS
    Path(folder).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(int(seed))
    for number in range(int(pictures)):
        pixels = np.stack([channel(rng, int(side)) for _ in range(3)], axis=-1)
        Image.fromarray(pixels).save(Path(folder) / f"{number}.png", optimize=True)


if __name__ == "__main__":
    main()
