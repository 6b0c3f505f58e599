"""Decoding, checking and resizing of images, against values worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from quant.fault import Fault
from quant.samples.files import write_samples
from quant.samples.images.image_names import RESIZES
from quant.samples.images.images import FITS, Frame, channels_last, list_images, load, proportional
from quant.samples.input_form import InputForm
from quant.samples.normalize import normalize
from quant.samples.samples import from_images

Pixels = NDArray[np.uint8]


def png(path: Path, pixels: Pixels, mode: str | None = None) -> Path:
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
    return path


def noise(width: int, height: int, *channels: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, *channels), np.uint8)


@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "ppm", "webp", "tif", "tiff"])
def test_lossless_kinds_are_read_exactly(suffix: str, tmp_path: Path) -> None:
    pixels = noise(9, 7, 3)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path, lossless=True)
    read, resized = load(path, Frame(9, 7, "rgb"))
    assert (read == pixels).all() and not resized


# What Pillow reads, and npumake does not: it is known by content, whatever it is called.
@pytest.mark.parametrize("kind", ["GIF", "DDS", "TGA", "ICO", "PCX", "SGI", "EPS", "PDF"])
def test_other_formats_under_a_known_name_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(noise(16, 16, 3)).save(path, format=kind)
    with pytest.raises(Fault, match="its content is none of JPEG, PNG, BMP, PPM, WEBP, TIFF"):
        load(path, Frame(16, 16, "rgb"))


def test_a_known_format_under_another_known_name_is_read(tmp_path: Path) -> None:
    pixels = noise(9, 7, 3)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", format="PNG")
    assert (load(tmp_path / "a.jpg", Frame(9, 7, "rgb"))[0] == pixels).all()


def test_pixels_are_counted_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = png(tmp_path / "a.png", noise(30, 20, 3))
    monkeypatch.setattr("quant.samples.images.images.MOST_PIXELS", 599)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", None)  # never called
    with pytest.raises(Fault, match=r"a\.png: 30x20 is 600, more than 599 pixels\n  shrink"):
        load(path, Frame(30, 20, "rgb"))


def test_pillows_own_limit_is_told_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = png(tmp_path / "a.png", noise(30, 20, 3))
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 200)
    with pytest.raises(Fault, match=r"a\.png: the image is larger than 150,000,000 pixels"):
        load(path, Frame(30, 20, "rgb"))


def test_a_crop_of_a_thread_of_pixels_is_counted_too(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", noise(10_000, 1, 3))
    with pytest.raises(Fault, match=r"a\.png, enlarged: 2400000x240 is 576,000,000, more than"):
        load(path, Frame(320, 240, "rgb", "crop"))
    assert load(path, Frame(320, 240, "rgb", "letterbox"))[1]


def test_an_image_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    real = Image.open

    def counted(path: Path, **options: Any) -> Image.Image:
        opened.append(path)
        return real(path, **options)

    monkeypatch.setattr(Image, "open", counted)
    for number in range(3):
        png(tmp_path / f"{number}.png", noise(8, 6, 3))
    form = InputForm("x", (1, 3, 6, 8), np.dtype(np.float32), color="rgb")
    write_samples(from_images(tmp_path, [form], "data"), None, [form], tmp_path / "samples")
    assert [path.name for path in opened] == ["0.png", "1.png", "2.png"]


def test_color_orders(tmp_path: Path) -> None:
    pixels = noise(9, 7, 3)
    path = png(tmp_path / "a.png", pixels)
    assert (load(path, Frame(9, 7, "bgr"))[0] == pixels[:, :, [2, 1, 0]]).all()
    gray = noise(9, 7)
    read, _ = load(png(tmp_path / "g.png", gray), Frame(9, 7, "gray"))
    assert (read == gray[:, :, None]).all()


def test_palette_is_colour(tmp_path: Path) -> None:
    pixels = noise(4, 4, 3)
    read, _ = load(png(tmp_path / "p.png", pixels, "P"), Frame(4, 4, "rgb"))
    assert (read == np.asarray(Image.open(tmp_path / "p.png").convert("RGB"))).all()


# EXIF orientation -> how stored pixels are turned upright
ORIENTATIONS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    6: lambda a: np.rot90(a, -1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation(orientation: int, tmp_path: Path) -> None:
    pixels = noise(9, 7, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    upright = ORIENTATIONS[orientation](pixels)
    read, _ = load(tmp_path / "a.png", Frame(upright.shape[1], upright.shape[0], "rgb"))
    assert (read == upright).all()


def save_kind(path: Path, kind: str) -> Path:
    if kind == "I;16":
        Image.fromarray(noise(8, 8).astype(np.uint16) * 256).save(path)
    elif kind == "P transparent":
        Image.fromarray(noise(8, 8, 3)).convert("P").save(path, transparency=3)
    elif kind == "CMYK":
        Image.fromarray(noise(8, 8, 3)).convert("CMYK").save(path, format="JPEG")
    else:
        Image.fromarray(noise(8, 8, 3)).convert(kind).save(path)
    return path


# kind of the image -> (wanted colour, what the error says)
WRONG_KINDS = {
    "L": ("rgb", "a.png: the image is grayscale, the network takes colour"),
    "LA": ("bgr", "a.png: the image is grayscale with transparency, the network takes colour"),
    "1": ("rgb", "a.png: the image is black and white, the network takes colour"),
    "RGBA": ("rgb", "a.png: the image is colour with transparency, the network takes colour"),
    "P transparent": ("rgb", "a.png: the image is palette with transparency"),
    "CMYK": ("rgb", "a.png: the image is CMYK, the network takes colour"),
    "I;16": ("gray", "a.png: the image is 16 bits a pixel, the network takes grayscale"),
    "RGB": ("gray", "a.png: the image is colour, the network takes grayscale"),
}


@pytest.mark.parametrize("kind", WRONG_KINDS)
def test_wrong_kind(kind: str, tmp_path: Path) -> None:
    color, what = WRONG_KINDS[kind]
    with pytest.raises(Fault) as caught:
        load(save_kind(tmp_path / "a.png", kind), Frame(8, 8, color, "stretch"))
    assert caught.value.what.startswith(what)
    is_deep = kind == "I;16"  # Pillow's convert would cut it off above 255
    assert ("`bits: 16`" if is_deep else "convert it") in caught.value.advice


def test_wrong_size_names_the_three_modes(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        load(png(tmp_path / "a.png", noise(9, 7, 3)), Frame(7, 9, "rgb"), "faces/a.png")
    assert caught.value.what == (
        "faces/a.png: the image is 9x7 (width x height), the network takes 7x9"
    )
    assert all(f"`resize: {mode}`" in caught.value.advice for mode in FITTED)


def damage(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "a.jpg"
    if kind.startswith("truncated"):
        whole = tmp_path / f"whole.{kind.split()[1]}"
        Image.fromarray(noise(64, 64, 3)).save(whole)
        path.write_bytes(whole.read_bytes()[:2000])
    else:
        path.write_bytes({"empty": b"", "text": b"hello", "zeros": bytes(4000)}[kind])
    return path


@pytest.mark.parametrize(
    "kind", ["truncated jpg", "truncated png", "truncated bmp", "empty", "text", "zeros"]
)
def test_damaged_image(kind: str, tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"a\.jpg: can't be read as an image") as caught:
        load(damage(tmp_path, kind), Frame(64, 64, "rgb"))
    assert str(tmp_path) not in str(caught.value)


# (image's width, height), frame, size inside it, size around it
PROPORTIONS = [
    ((640, 480), (320, 240), (320, 240), (320, 240)),
    ((100, 50), (64, 64), (64, 32), (128, 64)),
    ((50, 100), (64, 64), (32, 64), (64, 128)),
    ((3, 1), (64, 64), (64, 21), (192, 64)),
    ((8, 5), (4, 4), (4, 3), (6, 4)),  # 2.5 and 6.4
    ((1000, 1), (64, 64), (64, 1), (64000, 64)),
    ((300, 200), (320, 240), (320, 213), (360, 240)),
]


@pytest.mark.parametrize(("have", "frame", "inside", "around"), PROPORTIONS)
def test_proportions(
    have: tuple[int, int], frame: tuple[int, int], inside: tuple[int, int], around: tuple[int, int]
) -> None:
    assert proportional(have, Frame(*frame, "rgb"), inside=True) == inside
    assert proportional(have, Frame(*frame, "rgb"), inside=False) == around


def triangle(values: list[int], count: int) -> list[int]:
    """Resampling of a line by a triangle filter, widened where it shrinks, in exact fractions."""
    scale = Fraction(len(values), count)
    support = max(scale, Fraction(1))
    result = []
    for i in range(count):
        center = (i + Fraction(1, 2)) * scale
        weights = [
            max(1 - abs(j + Fraction(1, 2) - center) / support, Fraction(0))
            for j in range(len(values))
        ]
        total = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
        result.append(int(total + Fraction(1, 2)))
    return result


def line(*values: int) -> Pixels:
    return np.array([values], np.uint8)


@pytest.mark.parametrize(
    ("values", "count"),
    [([0, 100], 4), ([10, 200, 30, 250], 2), ([7, 9, 200, 3, 90, 18, 255], 3), ([5, 250, 60], 7)],
)
def test_stretch_is_bilinear_and_antialiased(values: list[int], count: int, tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", line(*values))
    read, resized = load(path, Frame(count, 1, "gray", "stretch"))
    assert resized
    # Pillow holds the weights in fixed point.
    assert np.abs(read[0, :, 0].astype(int) - triangle(values, count)).max() <= 1


# mode, image's width and height, frame -> rows and columns of the frame that the image fills
FITTED: dict[str, list[tuple[tuple[int, int], tuple[int, int], tuple[slice, slice]]]] = {
    "stretch": [((100, 50), (8, 8), (slice(0, 8), slice(0, 8)))],
    "letterbox": [
        ((100, 50), (8, 8), (slice(2, 6), slice(0, 8))),
        ((50, 100), (8, 8), (slice(0, 8), slice(2, 6))),
        ((100, 50), (8, 7), (slice(1, 5), slice(0, 8))),
    ],
    "crop": [((100, 50), (8, 8), (slice(0, 8), slice(0, 8)))],
}


def test_every_way_to_fit_is_tested() -> None:
    assert FITTED.keys() == FITS.keys() == set(RESIZES)


@pytest.mark.parametrize("mode", FITTED)
def test_fit(mode: str, tmp_path: Path) -> None:
    for have, (width, height), filled in FITTED[mode]:
        path = png(tmp_path / "a.png", np.full((have[1], have[0], 3), [200, 100, 50], np.uint8))
        expected = np.full((height, width, 3), 7, np.uint8)
        expected[filled] = [200, 100, 50]
        read, _ = load(path, Frame(width, height, "rgb", mode, pad=7))
        assert (read == expected).all()


def test_crop_keeps_the_middle(tmp_path: Path) -> None:
    """9x3 into 4x3: columns 2 to 5, since of 5 columns too many 2 go on the left."""
    pixels = noise(9, 3, 3)
    read, resized = load(png(tmp_path / "a.png", pixels), Frame(4, 3, "rgb", "crop"))
    assert resized and (read == pixels[:, 2:6]).all()


def test_list_images(tmp_path: Path) -> None:
    names = ["b.jpg", "a/2.PNG", "a/10.png", "a.webp", ".hidden.jpg", ".git/x.jpg", "notes.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(tmp_path)
    found = [path.relative_to(link).as_posix() for path in list_images(link)]
    assert found == ["a.webp", "a/10.png", "a/2.PNG", "b.jpg"]


def test_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    with pytest.raises(Fault, match="`faces` has no images"):
        list_images(tmp_path / "faces")
    with pytest.raises(Fault, match="`fases` is not a folder"):
        list_images(tmp_path / "fases")


@pytest.mark.parametrize(
    ("shape", "last"),
    [
        ((1, 3, 8, 8), False),
        ((1, 8, 8, 3), True),
        ((1, 1, 28, 28), False),
        ((1, 28, 28, 1), True),
        ((1, 3, 3, 3), False),
        ((1, 4, 8, 8), None),
        ((1, 3), None),
    ],
)
def test_channels_last(shape: tuple[int, ...], last: bool | None) -> None:
    assert channels_last(shape) is last


NORMALIZED = [
    ((1, 3, 2, 2), (10, 20, 30), (2, 4, 8), (1, 3, 1, 1)),
    ((1, 2, 2, 3), (10, 20, 30), (2, 4, 8), (1, 1, 1, 3)),
    ((2, 3), (10, 20, 30), (2, 4, 8), (1, 3)),
    ((2, 3), (10,), None, (1, 1)),
    ((2, 3, 5), None, (4,), (1, 1, 1)),
]


@pytest.mark.parametrize(("shape", "mean", "std", "along"), NORMALIZED)
def test_normalize(
    shape: tuple[int, ...],
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    along: tuple[int, ...],
) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape)
    shift = np.reshape(mean if mean and len(mean) > 1 else np.full(along, (mean or (0,))[0]), along)
    scale = np.reshape(std if std and len(std) > 1 else np.full(along, (std or (1,))[0]), along)
    result = normalize(array, mean, std, -1 if along[-1] == 3 else 1)
    assert result.dtype == np.float32
    assert (result == ((array - shift) / scale).astype(np.float32)).all()


def test_normalize_refuses() -> None:
    array = np.zeros((1, 4, 2, 2), np.float32)
    with pytest.raises(Fault, match=r"`mean` has 3 numbers, .* not the channels of \[1, 4, 2, 2\]"):
        normalize(array, (1, 2, 3), None)
