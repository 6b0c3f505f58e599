"""Samples of a network's inputs, from images, lists and npy files, one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quant.fault import Fault
from quant.samples.dataset import read_list
from quant.samples.images.image_names import SUFFIXES, is_image
from quant.samples.images.images import list_images, load
from quant.samples.input_form import InputForm
from quant.samples.npy_file import NpyFile, converted, open_npy
from quant.samples.raw_file import RawFile, open_raw
from quant.samples.raw_names import SUFFIXES as RAW_SUFFIXES
from quant.samples.raw_names import is_raw

Array = NDArray[Any]
Stacked = NpyFile | RawFile
Named = tuple[str, Path]  # what messages and reports call a file, and where it is


@dataclass(frozen=True)
class Sample:
    """arrays: one an input, in the network's order, with their batch, before mean and std."""

    arrays: Sequence[Array]
    files: Sequence[str]
    resized: int = 0


class Source(Protocol):
    """Samples by number. noun: what they are, for messages."""

    noun: str

    def __len__(self) -> int: ...

    def sample(self, index: int) -> Sample: ...


class FileSource:
    """Rows of files, one file an input: images, or npy files of one sample each.

    A network with a batch of B takes B rows a sample, unless the npy files hold whole batches.
    """

    def __init__(self, rows: Sequence[Sequence[Named]], forms: Sequence[InputForm], noun: str):
        self.rows, self.forms, self.noun = rows, forms, noun
        _require_columns(rows[0], forms, noun)
        for (_, path), form in zip(rows[0], forms, strict=True):
            if is_image(path.name):
                form.frame()  # the same fault for every image is said once
        batches = {form.batch for form in forms}
        self.group = 1 if _is_whole(rows[0][0], forms[0]) else max(batches)
        if self.group > 1 and len(batches) > 1:
            raise Fault(
                f"{noun}: the inputs have batches of {sorted(batches)}",
                "give npy files with whole batches",
            )
        if len(rows) % self.group:
            raise Fault(
                f"{len(rows)} {noun} do not fill batches of {self.group}",
                f"give a multiple of {self.group}",
            )

    def __len__(self) -> int:
        return len(self.rows) // self.group

    def sample(self, index: int) -> Sample:
        rows = self.rows[index * self.group : (index + 1) * self.group]
        arrays: list[Array] = []
        resized = 0
        for column, form in enumerate(self.forms):
            parts = [_load(row[column], form) for row in rows]
            arrays.append(np.concatenate([array for array, _ in parts]))
            if arrays[-1].shape != form.shape:
                raise Fault(
                    f"{rows[0][column][0]}: gives a batch of {len(arrays[-1])}, input "
                    f"`{form.name}` takes {form.batch}",
                    "let every file of the list hold one sample, or every file a whole batch",
                )
            resized += sum(changed for _, changed in parts)
        return Sample(arrays, [name for row in rows for name, _ in row], resized)


def _require_columns(row: Sequence[Named], forms: Sequence[InputForm], noun: str) -> None:
    if len(row) == len(forms):
        return
    names = ", ".join(f"`{form.name}`" for form in forms)
    raise Fault(
        f"{noun}: {len(row)} file(s) a sample for a network with {len(forms)} inputs ({names})",
        "name one file an input on each line of a list, in this order, or use `npy:`",
    )


def _is_whole(file: Named, form: InputForm) -> bool:
    """Whether a file holds a whole batch: always so where that is 1."""
    if form.batch == 1:
        return True
    name, path = file
    return not is_image(path.name) and len(_stacked(path, form, name)) > 1


def _of_one(form: InputForm) -> InputForm:
    """The form of an input without its batch."""
    return InputForm(form.name, (1, *form.single), form.dtype)


def _load(file: Named, form: InputForm) -> tuple[Array, bool]:
    """One file as an array with a batch axis, and whether it was resized."""
    name, path = file
    if is_image(path.name):
        pixels, resized = load(path, form.frame(), name)
        if form.single != pixels.shape:
            pixels = pixels.transpose(2, 0, 1)
        return converted(pixels[None], form, name), resized
    samples = _stacked(path, form, name)
    if len(samples) not in (1, form.batch):
        raise Fault(
            f"{name}: holds {len(samples)} samples, a file in a list holds one",
            "save each sample by itself; a recipe takes all of them by `npy:`",
        )
    return converted(samples, form, name), False


def _stacked(path: Path, form: InputForm, name: str) -> Array:
    """The samples of an npy or raw file, [count, *shape of one without its batch]."""
    if is_raw(path.name):
        file = open_raw(path, form, name)
        return file.samples(file.rows)
    if path.suffix.lower() != ".npy":
        kinds = ", ".join((*SUFFIXES, ".npy", *RAW_SUFFIXES))
        raise Fault(f"{name}: is no image, npy or raw file by its name", f"known are {kinds}")
    return open_npy(path, _of_one(form), name).samples[:, 0]


class ArraySource:
    """npy or raw files of many samples: the files of each input one behind the other."""

    noun = "samples"

    def __init__(self, files: Sequence[Sequence[Stacked]], forms: Sequence[InputForm]) -> None:
        self.files, self.forms = files, forms
        counts = [sum(map(len, column)) for column in files]
        if len(set(counts)) > 1:
            said = ", ".join(
                f"{count} for `{form.name}`" for count, form in zip(counts, forms, strict=True)
            )
            raise Fault(f"the files hold unequal numbers of samples: {said}", "make them equal")
        self.count = counts[0]

    def __len__(self) -> int:
        return self.count

    def sample(self, index: int) -> Sample:
        arrays, names = [], []
        for column, form in zip(self.files, self.forms, strict=True):
            file, position = _locate(column, index)
            name = f"{file.name}[{position}]"
            arrays.append(converted(file.batch(position), form, name))
            names.append(name)
        return Sample(arrays, names)


def _locate(files: Sequence[Stacked], index: int) -> tuple[Stacked, int]:
    """The file that holds a sample, and its number there."""
    for file in files:
        if index < len(file):
            return file, index
        index -= len(file)
    raise IndexError(index)


def from_images(folder: Path, forms: Sequence[InputForm], name: str) -> Source:
    """The images below a folder, for a network with one input; `name` is the recipe's for it."""
    if len(forms) != 1:
        names = ", ".join(f"`{form.name}`" for form in forms)
        raise Fault(
            f"images feed one input, the network has {len(forms)}: {names}",
            "use `npy:` with a file an input, or a list",
        )
    paths = list_images(folder, name)
    rows = [[(path.relative_to(folder).as_posix(), path)] for path in paths]
    return FileSource(rows, forms, f"images in `{name}`")


def from_list(file: Path, forms: Sequence[InputForm], name: str) -> Source:
    """The files that a list names, one line a sample; `name` is the recipe's for the list."""
    entries = read_list(file, name)
    rows = [list(zip(entry.names, entry.paths, strict=True)) for entry in entries]
    return FileSource(rows, forms, f"lines of `{name}`")


def from_files(files: Mapping[str, Sequence[Named]], forms: Sequence[InputForm]) -> Source:
    """npy or raw files by input. Raises Fault on an input without files, or files without input."""
    names = [form.name for form in forms]
    for name in [*files, *names]:
        if name not in files or name not in names:
            what = "has no files" if name in names else "is no input of the network"
            listing = ", ".join(f"`{known}`" for known in names)
            raise Fault(f"`{name}` {what}", f"name a file for each of {listing}")
    columns = [[_opened(file, form) for file in files[form.name]] for form in forms]
    return ArraySource(columns, forms)


def _opened(file: Named, form: InputForm) -> Stacked:
    name, path = file
    if not is_raw(name):
        return open_npy(path, form, name)
    found = open_raw(path, form, name)
    if len(found.rows) % form.batch:
        raise Fault(
            f"{name}: {len(found.rows)} samples do not fill batches of {form.batch}",
            f"give a multiple of {form.batch}",
        )
    return found
