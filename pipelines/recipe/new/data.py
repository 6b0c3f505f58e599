"""Calibration data that stands beside a network: a list, a folder of pictures, npy files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quant.fault import Fault
from quant.samples.dataset import read_list
from quant.samples.images.image_names import is_image
from quant.samples.images.pixel_units import PIXELS

_MOST = 100  # samples that are copied; the vendor's zoo calibrates on 20
_NAMES = ("calib", "quant", "data", "image", "photo", "pictur", "sample", "test", "val")


@dataclass(frozen=True)
class Data:
    """key, value: under `calibration`. copies: place in the model's folder -> file. told: where
    it was found. text: place -> content of a list that names the copies."""

    key: str
    value: Any
    copies: Mapping[str, Path]
    told: str
    text: Mapping[str, str] = field(default_factory=dict)

    def copy(self, folder: Path) -> None:
        for place, file in self.copies.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / place)
        for place, content in self.text.items():
            (folder / place).write_text(content, encoding="utf-8")


def find(
    folder: Path, shapes: Mapping[str, Sequence[int]], takes_pictures: bool
) -> tuple[Data | None, list[str]]:
    """The first kind that is there, and what was seen and is not used."""
    notes: list[str] = []
    for path in sorted(folder.glob("*dataset*.txt")):
        try:
            return of(path, shapes, takes_pictures), notes
        except Fault as fault:
            notes.append(f"{path.name} is not used: {fault.what}")
    if takes_pictures:
        if found := _folder_of_pictures(folder):
            return of(found, shapes, takes_pictures), notes
        if _pictures(folder):
            return of(folder, shapes, takes_pictures), notes
    if files := _npy_files(folder, shapes):
        return _of_npy(files), notes
    return None, notes


def of(path: Path, shapes: Mapping[str, Sequence[int]], takes_pictures: bool) -> Data:
    """The data at a path that somebody named. Raises Fault where it is none."""
    if path.is_dir():
        files = _pictures(path)
        if files and takes_pictures:
            copies = {f"data/{file.name}": file for file in files[:_MOST]}
            return Data("images", "data", copies, _count(len(files), "pictures", path))
        if found := _npy_files(path, shapes):
            return _of_npy(found)
        raise Fault(f"{path.name} holds no calibration data", "name pictures, npy files or a list")
    if path.suffix == ".npy":
        return _of_npy({next(iter(shapes)): path})
    entries = read_list(path, path.name)
    copies, lines = {}, []
    for number, entry in enumerate(entries[:_MOST]):
        places = [f"data/{number:03}_{file.name.replace(' ', '_')}" for file in entry.paths]
        copies |= dict(zip(places, entry.paths, strict=True))
        lines.append(" ".join(places))
    text = {"dataset.txt": "".join(f"{line}\n" for line in lines)}
    return Data("list", "dataset.txt", copies, _count(len(entries), "lines", path), text)


def _count(have: int, noun: str, path: Path) -> str:
    first = f"the first {_MOST} of " if have > _MOST else ""
    return f"{first}{have} {noun} of {path.name}"


def _pictures(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if is_image(file.name) and file.is_file())


def _folder_of_pictures(folder: Path) -> Path | None:
    """By name, then by how many it holds."""
    found = [
        (next((i for i, name in enumerate(_NAMES) if name in each.name.lower()), 99), -count, each)
        for each in folder.iterdir()
        if each.is_dir() and not each.name.startswith(".") and (count := len(_pictures(each)))
    ]
    return min(found)[2] if found else None


def _npy_files(folder: Path, shapes: Mapping[str, Sequence[int]]) -> dict[str, Path]:
    """INPUT.npy of each input; or, for one input, the first file whose samples have its shape."""
    named = {name: folder / f"{name}.npy" for name in shapes}
    if all(_fits(file, shapes[name]) for name, file in named.items()):
        return named
    if len(shapes) != 1:
        return {}
    ((name, shape),) = shapes.items()
    fitting = [file for file in sorted(folder.glob("*.npy")) if _fits(file, shape)]
    return {name: fitting[0]} if fitting else {}


def _fits(file: Path, shape: Sequence[int]) -> bool:
    try:
        held = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return False
    return isinstance(held, np.ndarray) and list(held.shape[1:]) == list(shape[1:])


def _of_npy(files: Mapping[str, Path]) -> Data:
    copies = {f"data/{file.name}": file for file in files.values()}
    value = dict(zip(files, copies, strict=True)) if len(files) > 1 else next(iter(copies))
    return Data("npy", value, copies, f"{', '.join(_names(files))}, whose samples have its shape")


def is_scaled(data: Data) -> str:
    """Of npy data: its range, where that is no range of pixels; else empty."""
    if data.key != "npy":
        return ""
    (first, *_) = data.copies.values()
    values = np.load(first, mmap_mode="r", allow_pickle=False)[:_MOST]
    low, high = float(np.min(values)), float(np.max(values))
    is_pixels = low >= 0 and high > PIXELS
    return "" if is_pixels else f"{first.name} holds {low:.3g} to {high:.3g}, no pixels of 0..255"


def _names(files: Mapping[str, Path]) -> Iterator[str]:
    yield from (file.name for file in files.values())
