"""Labelled data: npy files of inputs, and one of class indices."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fault import Fault
from quant.samples.files import require_count
from quant.samples.input_form import InputForm
from quant.samples.label_files import FIRST, labels_file
from quant.samples.npy_file import require_npy
from quant.samples.samples import Named, from_files


@dataclass(frozen=True)
class Labelled:
    """digest: SHA-256 of the written arrays and labels. outputs: those that are named."""

    count: int
    digest: str
    outputs: tuple[str, ...] = ()


def read_labels(name: str, path: Path) -> NDArray[np.int64]:
    """Class indices, int64 [N]. Raises Fault on anything else."""
    array = _loaded(name, path)
    if array.dtype.kind not in "iu":
        raise Fault(f"{name}: holds {array.dtype}, not class indices", "save them as int64")
    if array.shape[1:] not in ((), (1,)) or array.ndim == 0:
        raise Fault(
            f"{name}: has the shape {list(array.shape)}",
            "save one class index a sample, [N]; of one-hot rows take argmax",
        )
    if array.size and array.min() < 0:
        raise Fault(f"{name}: holds {array.min()}", "class indices count from 0")
    return array.reshape(-1).astype(np.int64)


def read_any(name: str, path: Path) -> NDArray[Any]:
    """Labels of any kind, a row a sample, for a metric of the user's own. Raises Fault."""
    array = _loaded(name, path)
    if array.ndim == 0:
        raise Fault(f"{name}: is a single value", "save a row a sample, [N, ...]")
    return array


def _loaded(name: str, path: Path) -> NDArray[Any]:
    require_npy(path, name)
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise Fault(f"{name}: can't be read as npy: {error}", "save numbers") from error
    return array


def write_evaluation(
    files: Mapping[str, Sequence[Named]],
    labels: Mapping[str, Named],
    wanted: int | None,
    forms: Sequence[InputForm],
    folder: Path,
    read: Callable[[str, Path], NDArray[Any]] = read_labels,
) -> Labelled:
    """Write FOLDER/evaluate_0.npy ..., one file an input, and evaluate_labels.npy.

    An input's file is [N, *shape without the batch], in the input's type, before mean and std;
    the labels are int64 [N], or what `read` makes of them, a row a sample. labels: output -> file;
    FIRST alone, or names, whose labels are in evaluate_labels_0.npy ... wanted: the first so many,
    all for None.
    Raises Fault on arrays that don't fit, unequal numbers, and labels that are no class indices.
    """
    single = [
        InputForm(form.name, (1, *form.single), form.dtype, mean=form.mean, std=form.std)
        for form in forms
    ]
    source = from_files(files, single)
    classes = {output: read(*file) for output, file in labels.items()}
    for output, found in classes.items():
        if len(found) != len(source):
            raise Fault(
                f"{labels[output][0]}: {len(found)} labels for {len(source)} samples",
                "give one class index a sample",
            )
    count = require_count(len(source), wanted, "labelled samples")
    folder.mkdir(exist_ok=True)
    stacks = [
        np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
            folder / f"evaluate_{number}.npy", "w+", form.dtype, (count, *form.single)
        )
        for number, form in enumerate(single)
    ]
    digest = hashlib.sha256()
    for index in range(count):
        for stack, array in zip(stacks, source.sample(index).arrays, strict=True):
            stack[index] = array[0]
            digest.update(np.ascontiguousarray(array).data)
    for stack in stacks:
        stack.flush()
    outputs = tuple(output for output in classes if output != FIRST)
    for output, found in classes.items():
        np.save(folder / labels_file(outputs, output), found[:count])
        digest.update(found[:count].data)
    return Labelled(count, digest.hexdigest(), outputs)
