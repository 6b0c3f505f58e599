"""Calibration data as a float graph takes it: what samples left in `samples/`, normalised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.stages.samples.jobs.prepared_samples import read
from quant.graph.types import TensorType
from quant.samples.normalize import normalize

Array = npt.NDArray[np.generic]

_FOLDER = Path("samples")


def calibration_inputs(
    types: Mapping[str, TensorType], recipe: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Array]]:
    """The samples, one dictionary each: input name -> array. Empty where there are none.

    types: the graph's inputs. recipe: the recipe's, whose `mean` and `std` are applied.
    """
    if not (_FOLDER / "dataset.txt").exists():
        return []
    return list(all_inputs(types, recipe))


def all_inputs(
    types: Mapping[str, TensorType], recipe: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Array]]:
    """Every sample in the same form, one at a time. Raises Refusal where there are none."""
    for arrays in read(_FOLDER, list(types)).arrays():
        yield {
            name: _normalized(array, recipe.get(name, {})).astype(type_.dtype)
            for array, (name, type_) in zip(arrays, types.items(), strict=True)
        }


def _normalized(array: Array, told: Mapping[str, Any]) -> Array:
    if told.get("mean") is None and told.get("std") is None:
        return array  # integers stay exact
    return normalize(array, told.get("mean"), told.get("std"))
