"""Calibration data as a float graph takes it: what samples left, normalised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from pipelines.run.jobs.job import Job
from pipelines.stages.samples.jobs.params import DataParams
from pipelines.stages.samples.jobs.prepared_samples import read
from quant.graph.types import TensorType
from quant.samples.input import Input
from quant.samples.normalize import normalize

Array = npt.NDArray[np.generic]


def calibration_inputs(
    job: Job[DataParams], types: Mapping[str, TensorType]
) -> list[dict[str, Array]]:
    """The samples, one dictionary each: input name -> array. Empty where the recipe names none.

    types: the graph's inputs; the recipe's `mean` and `std` of them are applied.
    """
    return [] if job.params.samples is None else list(all_inputs(job, types))


def all_inputs(job: Job[DataParams], types: Mapping[str, TensorType]) -> Iterator[dict[str, Array]]:
    """Every sample in the same form, one at a time. Raises Refusal where there are none."""
    for arrays in read(job, list(types)).arrays():
        yield {
            name: _normalized(array, job.params.inputs.get(name, Input())).astype(type_.dtype)
            for array, (name, type_) in zip(arrays, types.items(), strict=True)
        }


def _normalized(array: Array, told: Input) -> Array:
    if not told.is_normalized:
        return array  # integers stay exact
    return normalize(array, told.mean, told.std)
