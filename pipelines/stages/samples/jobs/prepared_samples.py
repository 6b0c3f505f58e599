"""What stages.samples left in the scratch folder, for the jobs after it in the same step.

Its files are described there: samples.json, dataset.txt, evaluate_*.npy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.files.where import did_you_mean
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.refusal import Refusal
from pipelines.stages.samples.jobs.params import DataParams
from quant.samples.label_files import FIRST, labels_file

Array = NDArray[Any]
SAMPLES = "samples"  # the folder
CALIBRATION = "calibration"  # that of the data which one call quantized the network with


@dataclass(frozen=True)
class PreparedSamples:
    """rows: for each sample one npy file for each of `inputs`. digest: SHA-256 of the arrays.

    is_random: the recipe names no data. statistics: input -> see quant.samples.statistics.
    """

    inputs: tuple[str, ...]
    rows: tuple[tuple[Path, ...], ...]
    digest: str
    is_random: bool = False
    statistics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def arrays(self) -> Iterator[list[Array]]:
        """Each sample, one array for each of `inputs`, in pixel units, with the batch."""
        for row in self.rows:
            yield [np.load(file, allow_pickle=False) for file in row]


@dataclass(frozen=True)
class LabelledSamples:
    """arrays: [N, ...] for each of `inputs`, in pixel units.

    labels: output -> class indices, int64 [N]; FIRST alone where the recipe names no output.
    """

    inputs: tuple[str, ...]
    arrays: tuple[Array, ...]
    labels: Mapping[str, NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.arrays[0])

    def samples(self) -> Iterator[list[Array]]:
        """Each sample with a batch of 1, one array for each of `inputs`."""
        for i in range(len(self)):
            yield [array[i : i + 1] for array in self.arrays]


def read(job: Job[Any], inputs: Sequence[str], name: str = SAMPLES) -> PreparedSamples:
    """The samples, their arrays in the order of `inputs`. Raises Refusal.

    name: of the folder.
    """
    folder = job.scratch / name
    record = _record(folder)
    columns = _columns(record["inputs"], inputs)
    listing = folder / "dataset.txt"
    if not listing.is_file():
        raise Refusal("there are no samples", "give `quantize.calibration` or `analyze.samples`")
    lines = [line.split() for line in listing.read_text().splitlines()]
    rows = tuple(tuple(folder / line[column] for column in columns) for line in lines)
    is_random = record.get("random", False)
    return PreparedSamples(
        tuple(inputs), rows, record["digest"], is_random, record.get("statistics", {})
    )


def read_labelled(job: Job[DataParams], inputs: Sequence[str]) -> LabelledSamples | None:
    """The labelled data, its arrays in the order of `inputs`; None where the recipe has none."""
    if job.params.evaluate is None:
        return None
    folder = job.scratch / SAMPLES
    record = _record(folder)
    columns = _columns(record["inputs"], inputs)
    outputs = record["evaluate"].get("outputs", ())
    return LabelledSamples(
        tuple(inputs),
        tuple(np.load(folder / f"evaluate_{i}.npy", allow_pickle=False) for i in columns),
        {
            output: np.load(folder / labels_file(outputs, output), allow_pickle=False)
            for output in outputs or (FIRST,)
        },
    )


def _record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
    return record


def _columns(held: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where each wanted input stands in a sample."""
    for name in wanted:
        if name not in held:
            raise Refusal(
                f"the samples have no input `{name}`", did_you_mean(name, held, "their inputs")
            )
    return [held.index(name) for name in wanted]
