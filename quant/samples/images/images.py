"""Images as a network takes them: decoded, upright, checked, resized."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from quant.fault import Fault
from quant.samples.images import deep_images
from quant.samples.images.image_names import DEFAULT_COLORS, SUFFIXES, is_image

FORMATS = (
    "JPEG",
    "PNG",
    "BMP",
    "PPM",
    "WEBP",
    "TIFF",
)  # by content: Pillow's other decoders stay unused
# A header of a few bytes can promise any size. Cameras make up to 150 million pixels (450 MB here),
# networks look at a few million. Pillow has a limit of its own, of 179 million.
MOST_PIXELS = 150_000_000
KINDS = {
    "L": "grayscale",
    "1": "black and white",
    "LA": "grayscale with transparency",
    "RGB": "colour",
    "RGBA": "colour with transparency",
    "P": "palette",
    "CMYK": "CMYK",
    "I": "16 or 32 bits a pixel",
    "I;16": "16 bits a pixel",
    "I;16B": "16 bits a pixel",
    "F": "floating point",
}


@dataclass(frozen=True)
class Frame:
    """What an image must become.

    color: rgb, bgr or gray. resize: stretch, letterbox, crop, or None where every image must have
    this size already. pad: gray value of a letterbox's border. bits: of a pixel; more than 8 are
    for gray alone.
    """

    width: int
    height: int
    color: str
    resize: str | None = None
    pad: int = 114
    bits: int = 8


def list_images(folder: Path, name: str = "") -> list[Path]:
    """The images below a folder and its subfolders, sorted by their path in it.

    Hidden files and folders, and files of other kinds, are passed over. name: what messages call
    the folder. Raises Fault if there are none, or no such folder.
    """
    name = name or folder.name
    if not folder.is_dir():
        raise Fault(f"`{name}` is not a folder", "name a folder of images")
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [below for below in folders if not below.startswith(".")]
        found += [Path(place, file) for file in files if is_image(file)]
    if not found:
        raise Fault(
            f"`{name}` has no images",
            f"put images there: {', '.join(SUFFIXES)}",
        )
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def load(path: Path, frame: Frame, name: str = "") -> tuple[NDArray[Any], bool]:
    """An image as uint8 [height, width, channels] in the frame's colour order; deep ones as uint16.

    Returns it and whether it was resized. name: what messages call it. Raises Fault on a file
    that can't be decoded whole, on another kind of image than the frame's colour, and on another
    size where the frame says nothing of resizing.
    """
    name = name or path.name
    image = decode(path, name)
    if frame.bits > 8:
        return deep_images.fitted(image, frame.bits, partial(fit, frame=frame, name=name), name)
    _require_kind(image, frame, name)
    image = image.convert("L" if frame.color == "gray" else "RGB")  # only a palette changes
    fitted = fit(image, frame, name)
    pixels = np.asarray(fitted, np.uint8).reshape(frame.height, frame.width, -1)
    return (pixels[:, :, ::-1] if frame.color == "bgr" else pixels), fitted is not image


def decode(path: Path, name: str) -> Image.Image:
    """The whole image, decoded once, turned upright as its EXIF orientation says.

    Raises Fault before it decodes where the header promises more than MOST_PIXELS.
    """
    try:
        with _opened(path) as image:
            _require_size(image.size, name)
            _require_whole(image, name)
            image.load()
            return ImageOps.exif_transpose(image)
    except Fault:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(f"{name}: the image is larger") from error
    except UnidentifiedImageError as error:
        raise Fault(
            f"{name}: can't be read as an image: its content is none of {', '.join(FORMATS)}",
            "it is damaged, no image or of another kind; replace it, or save it as PNG or JPEG",
        ) from error
    except Exception as error:  # Pillow's decoders raise anything from OSError to SyntaxError
        raise Fault(
            f"{name}: can't be read as an image: {_first_line(error, path)}",
            "it is cut short, damaged or no image; replace or remove it",
        ) from error


def _opened(path: Path) -> ImageFile:
    with warnings.catch_warnings():  # from half of Pillow's limit on
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path, formats=FORMATS)


def _require_size(size: tuple[int, int], name: str) -> None:
    """Raise Fault where so many pixels are no picture for a network."""
    width, height = size
    if width * height > MOST_PIXELS:
        raise _too_large(f"{name}: {width}x{height} is {width * height:,}, more")


def _require_whole(image: ImageFile, name: str) -> None:
    """Raise Fault where Pillow would read less than is there: one picture, 8 bits of a channel."""
    frames = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    if frames > 1:
        raise Fault(f"{name}: holds {frames} pictures", "save each in a file of its own")
    if deep_images.is_deep_color(image):
        raise Fault(
            f"{name}: the image has 16 bits a channel, and 8 of them would be lost",
            "save it with 8 bits a channel; or as npy of uint16, channels first: numpy.save(FILE, "
            "cv2.imread(IMAGE, cv2.IMREAD_UNCHANGED)[..., ::-1].transpose(2, 0, 1))",
        )


def _too_large(what: str) -> Fault:
    return Fault(f"{what} than {MOST_PIXELS:,} pixels", "shrink the image, or remove it")


def _first_line(error: Exception, path: Path) -> str:
    """The decoder's words, without the path of the working folder."""
    text = (str(error) or type(error).__name__).splitlines()[0]
    return text.replace(str(path), path.name)


def _require_kind(image: Image.Image, frame: Frame, name: str) -> None:
    """Raise Fault unless the image's channels are what the network takes."""
    wanted = "L" if frame.color == "gray" else "RGB"
    transparent = "transparency" in image.info
    if (image.mode == wanted or (image.mode, wanted) == ("P", "RGB")) and not transparent:
        return
    kind = KINDS.get(image.mode, image.mode)
    if transparent and "transparency" not in kind:
        kind += " with transparency"
    noun = "grayscale" if wanted == "L" else "colour"
    advice = f"convert it: Image.open(...).convert({wanted!r}).save(...) with Pillow"
    if image.mode.startswith("I"):  # Pillow's convert cuts off above 255 instead
        advice = (
            "write `bits: 16` (or 10, 12, 14) under the input where the network takes such "
            "numbers; else save it with 8 bits a pixel, as the board's program gives it"
        )
    elif wanted == "L":
        advice += "; npumake does not, since tools weigh red, green and blue differently"
    raise Fault(f"{name}: the image is {kind}, the network takes {noun}", advice)


def fit(image: Image.Image, frame: Frame, name: str) -> Image.Image:
    """The image at the frame's size; the same object where it has that size already.

    Resampling is Pillow's BILINEAR: where it shrinks, each output pixel averages, in a triangle,
    all input pixels that it covers (antialiasing; OpenCV's INTER_LINEAR does not).
    Raises Fault on another size where the frame has no mode.
    """
    if image.size == (frame.width, frame.height):
        return image
    if frame.resize is None:
        raise Fault(
            f"{name}: the image is {image.width}x{image.height} (width x height), the network "
            f"takes {frame.width}x{frame.height}",
            "say under the input how to resize it: `resize: stretch` (the whole image, its "
            "proportions lost), `resize: letterbox` (the whole image with a border) or "
            "`resize: crop` (the middle)",
        )
    if frame.resize == "crop":  # of a thread of pixels the covering image is as large as one likes
        _require_size(proportional(image.size, frame, inside=False), f"{name}, enlarged")
    return FITS[frame.resize](image, frame)


def stretch(image: Image.Image, frame: Frame) -> Image.Image:
    """Resize to the frame's size, whatever the proportions."""
    return image.resize((frame.width, frame.height), Image.Resampling.BILINEAR)


def letterbox(image: Image.Image, frame: Frame) -> Image.Image:
    """Resize to the largest size of the same proportions inside the frame; gray around it.

    The other side is rounded to the nearest whole number, half up; an odd remainder goes to the
    right or the bottom.
    """
    width, height = proportional(image.size, frame, inside=True)
    small = image.resize((width, height), Image.Resampling.BILINEAR)
    color = (frame.pad,) * 3 if image.mode == "RGB" else frame.pad
    canvas = Image.new(image.mode, (frame.width, frame.height), color)
    canvas.paste(small, ((frame.width - width) // 2, (frame.height - height) // 2))
    return canvas


def crop(image: Image.Image, frame: Frame) -> Image.Image:
    """Resize to the smallest size of the same proportions that covers the frame; keep the middle.

    Rounded as by letterbox; of an odd excess the larger half is cut on the right or the bottom.
    """
    width, height = proportional(image.size, frame, inside=False)
    large = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - frame.width) // 2, (height - frame.height) // 2
    return large.crop((left, top, left + frame.width, top + frame.height))


def proportional(have: tuple[int, int], frame: Frame, *, inside: bool) -> tuple[int, int]:
    """The size with the proportions of `have` that touches the frame from inside or outside."""
    width, height = have
    wide = width * frame.height > height * frame.width  # wider than the frame
    if wide == inside:
        return frame.width, max((2 * height * frame.width + width) // (2 * width), 1)
    return max((2 * width * frame.height + height) // (2 * height), 1), frame.height


FITS = {"stretch": stretch, "letterbox": letterbox, "crop": crop}


def channels_last(shape: Sequence[int]) -> bool | None:
    """Whether a network's 4-D input takes images N, H, W, C; None where it takes no images.

    A second axis of 1 or 3 is taken for channels first.
    """
    if len(shape) != 4:
        return None
    if shape[1] in DEFAULT_COLORS:
        return False
    return True if shape[3] in DEFAULT_COLORS else None
