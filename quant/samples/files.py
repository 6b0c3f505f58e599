"""Samples written out for the SDK: one npy file an input, and a list of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quant.fault import Fault
from quant.samples.input_form import InputForm
from quant.samples.samples import Sample, Source
from quant.samples.statistics import Statistics, require_units, warnings

LIST = "dataset.txt"
_MOST_FAULTS = 10


@dataclass
class Written:
    """What was written. files: the sources' names a sample. digest: SHA-256 of all arrays.

    statistics: input -> see quant.samples.statistics.
    """

    count: int = 0
    files: list[list[str]] = field(default_factory=list)
    resized: int = 0
    digest: str = ""
    warnings: list[str] = field(default_factory=list)
    statistics: dict[str, dict[str, Any]] = field(default_factory=dict)


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
    digest, written = hashlib.sha256(), Written(count)
    seen = [Statistics() for _ in forms]
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
        for statistics, array in zip(seen, sample.arrays, strict=True):
            statistics.add(index, array)
        written.files.append(list(sample.files))
        written.resized += sample.resized
    if faults:
        raise _together(faults)
    for form, statistics in zip(forms, seen, strict=True):
        require_units(form, statistics)
    (folder / LIST).write_text("".join(f"{line}\n" for line in lines))
    written.digest = digest.hexdigest()
    told = zip(forms, seen, strict=True)
    written.statistics = {form.name: statistics.told() for form, statistics in told}
    written.warnings = [
        sentence for form, one in zip(forms, seen, strict=True) for sentence in warnings(form, one)
    ]
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
