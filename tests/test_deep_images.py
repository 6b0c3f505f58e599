"""Gray images of 9 to 16 bits: read exactly, and what would be cut in silence is refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from quant.fault import Fault
from quant.samples.images.images import Frame, load

Deep = NDArray[np.uint16]


def deep(bits: int, width: int = 9, height: int = 7) -> Deep:
    """Random, with both ends of the range."""
    made = np.random.default_rng(0).integers(0, 1 << bits, (height, width)).astype(np.uint16)
    made[0, 0], made[0, 1] = 0, (1 << bits) - 1
    return made


def deep_png(path: Path, pixels: NDArray[np.uint16]) -> Path:
    """PNG of 16 bits a channel, gray or RGB, written here: Pillow writes gray alone."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(">u2").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    kind = 2 if pixels.ndim == 3 else 0
    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_read_exactly(bits: int, suffix: str, tmp_path: Path) -> None:
    pixels = deep(bits)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path)
    read, resized = load(path, Frame(9, 7, "gray", bits=bits))
    assert (read.dtype.name, read.shape, resized) == ("uint16", (7, 9, 1), False)
    assert (read[:, :, 0] == pixels).all()


def test_our_own_png_is_pillows(tmp_path: Path) -> None:
    pixels = deep(16)
    read, _ = load(deep_png(tmp_path / "a.png", pixels), Frame(9, 7, "gray", bits=16))
    assert (read[:, :, 0] == pixels).all()


@pytest.mark.parametrize("mode", ["stretch", "crop", "letterbox"])
def test_a_plain_field_stays_one_when_it_is_resized(mode: str, tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 20), 3001, np.uint16)).save(tmp_path / "a.png")
    read, resized = load(tmp_path / "a.png", Frame(10, 10, "gray", mode, pad=77, bits=12))
    assert resized
    assert set(np.unique(read)) == ({77, 3001} if mode == "letterbox" else {3001})


def test_resized_as_8_bits_are_but_finer(tmp_path: Path) -> None:
    small = np.random.default_rng(1).integers(0, 256, (16, 16)).astype(np.uint8)
    Image.fromarray(small).save(tmp_path / "8.png")
    Image.fromarray(small.astype(np.uint16) * 257).save(tmp_path / "16.png")
    eight, _ = load(tmp_path / "8.png", Frame(6, 6, "gray", "stretch"))
    sixteen, _ = load(tmp_path / "16.png", Frame(6, 6, "gray", "stretch", bits=16))
    # Pillow rounds 8 bits after each of its two passes, half a step each.
    assert np.abs(sixteen / 257 - eight).max() <= 1.01


# name -> (the image, the frame, what the error says, its advice)
REFUSED: dict[str, tuple[Any, Frame, str, str]] = {
    "more bits than told": (
        deep(14),
        Frame(9, 7, "gray", bits=12),
        "a.png: holds 16,383, and 12 bits hold at most 4,095",
        "`bits: 16`",
    ),
    "8 bits": (
        deep(8).astype(np.uint8),
        Frame(9, 7, "gray", bits=12),
        "a.png: no gray image of 16 bits a pixel, and its input says `bits: 12`",
        "delete `bits`",
    ),
    "deep, and nothing told": (
        deep(16),
        Frame(9, 7, "gray"),
        "a.png: the image is 16 bits a pixel, the network takes grayscale",
        "write `bits: 16`",
    ),
    "deep colour": (
        np.stack([deep(16)] * 3, axis=2),
        Frame(9, 7, "rgb"),
        "a.png: the image has 16 bits a channel, and 8 of them would be lost",
        "npy of uint16",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    pixels, frame, what, advice = REFUSED[name]
    path = tmp_path / "a.png"
    if pixels.dtype == np.uint16:
        deep_png(path, pixels)
    else:
        Image.fromarray(pixels).save(path)
    with pytest.raises(Fault) as caught:
        load(path, frame)
    assert caught.value.what == what
    assert advice in caught.value.advice


def test_deep_colour_in_tiff_and_ppm(tmp_path: Path) -> None:
    pixels = np.stack([deep(16)] * 3, axis=2)
    height, width = pixels.shape[:2]
    ppm = tmp_path / "a.ppm"
    ppm.write_bytes(f"P6 {width} {height} 65535\n".encode() + pixels.astype(">u2").tobytes())
    tiff = tmp_path / "a.tif"
    tiff.write_bytes(_tiff(pixels))
    for path in (ppm, tiff):
        with pytest.raises(Fault, match="has 16 bits a channel"):
            load(path, Frame(9, 7, "rgb"))


def _tiff(pixels: NDArray[np.uint16]) -> bytes:
    """Baseline RGB of 16 bits a channel, one strip."""
    height, width = pixels.shape[:2]
    data = pixels.astype("<u2").tobytes()
    depths = 8 + len(data)
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, depths),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, len(data)),
    ]
    table = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    after = depths + 6
    return b"".join(
        [
            struct.pack("<2sHI", b"II", 42, after),
            data,
            struct.pack("<HHH", 16, 16, 16),
            struct.pack("<H", len(tags)),
            table,
            struct.pack("<I", 0),
        ]
    )


def test_several_pictures_in_a_tiff(tmp_path: Path) -> None:
    first = Image.fromarray(deep(12))
    first.save(tmp_path / "a.tif", save_all=True, append_images=[first])
    with pytest.raises(Fault, match=r"a\.tif: holds 2 pictures"):
        load(tmp_path / "a.tif", Frame(9, 7, "gray", bits=12))
