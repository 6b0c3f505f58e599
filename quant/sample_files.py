"""Samples written out for the SDK: one npy file an input, and a list of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fault import Fault
from quant.input_form import InputForm
from quant.samples import Sample, Source

LIST = "dataset.txt"
_MOST_FAULTS = 10
_PIXELS = 16.0  # a mean or std this large is in pixel units of 0 to 255
_NORMALIZED = 8.0  # normalised data lies within so many standard deviations


@dataclass
class Written:
    """What was written. files: the sources' names a sample. digest: SHA-256 of all arrays."""

    count: int = 0
    files: list[list[str]] = field(default_factory=list)
    resized: int = 0
    digest: str = ""
    warnings: list[str] = field(default_factory=list)


def write_samples(
    source: Source, wanted: int | None, forms: Sequence[InputForm], folder: Path
) -> Written:
    """Write the first `wanted` samples (all for None) to FOLDER/0000_0.npy ... and dataset.txt.

    The number behind the underscore counts the network's inputs. A line of dataset.txt names a
    sample's files relative to the list itself: the SDK looks there, not in the current folder.
    Raises Fault where there are fewer samples, and on samples that don't fit: the first ten are
    named.
    """
    count = require_count(len(source), wanted, source.noun)
    folder.mkdir(exist_ok=True)
    digest, ranges, written = hashlib.sha256(), _Ranges(forms), Written(count)
    faults: list[Fault] = []
    lines = []
    for index in range(count):
        try:
            sample = source.sample(index)
        except Fault as fault:
            faults.append(fault)
            if len(faults) == _MOST_FAULTS:
                break
            continue
        lines.append(" ".join(_save(sample, index, folder, digest)))
        ranges.add(sample.arrays)
        written.files.append(list(sample.files))
        written.resized += sample.resized
    if faults:
        raise _together(faults)
    (folder / LIST).write_text("".join(f"{line}\n" for line in lines))
    written.digest = digest.hexdigest()
    written.warnings = ranges.warnings()
    return written


def require_count(have: int, wanted: int | None, noun: str) -> int:
    """How many samples to take. Raises Fault where there are fewer than wanted, or none."""
    if not have:
        raise Fault(f"there are no {noun}", "calibration needs at least one sample")
    if wanted is not None and wanted > have:
        raise Fault(
            f"the recipe wants {wanted} samples; there are {have} {noun}",
            f"give more, or write `samples: {have}`",
        )
    return have if wanted is None else wanted


def _save(sample: Sample, index: int, folder: Path, digest: Any) -> list[str]:
    """Write one sample; return its files' names."""
    names = [f"{index:04d}_{number}.npy" for number in range(len(sample.arrays))]
    for name, array in zip(names, sample.arrays, strict=True):
        array = np.ascontiguousarray(array)
        np.save(folder / name, array)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array)
    return names


def _together(faults: Sequence[Fault]) -> Fault:
    """One error of several: the advice is the first one's."""
    if len(faults) == 1:
        return faults[0]
    more = " (and perhaps more)" if len(faults) == _MOST_FAULTS else ""
    said = "; ".join(fault.what for fault in faults)
    return Fault(f"{len(faults)} samples{more}: {said}", faults[0].advice)


class _Ranges:
    """Smallest and largest value of each input, to notice data that is normalised already."""

    def __init__(self, forms: Sequence[InputForm]) -> None:
        self.forms = forms
        self.largest = [0.0] * len(forms)

    def add(self, arrays: Sequence[NDArray[Any]]) -> None:
        for number, array in enumerate(arrays):
            if array.size:
                self.largest[number] = max(self.largest[number], float(np.abs(array).max()))

    def warnings(self) -> list[str]:
        return [
            f"the samples of input `{form.name}` lie within -{largest:g} and {largest:g}, but its "
            "mean and std are in pixel units: if the data is normalised already, delete mean and "
            "std, since the SDK applies them to npy files too"
            for form, largest in zip(self.forms, self.largest, strict=True)
            if largest <= _NORMALIZED and _is_in_pixels(form)
        ]


def _is_in_pixels(form: InputForm) -> bool:
    return max((*(form.mean or ()), *(form.std or ()), 0.0)) >= _PIXELS
