"""Calibration data as a float graph takes it: what jobs.samples left in `samples/`, normalised."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quant.fault import Fault
from quant.graph_types import TensorType, shape_text
from quant.normalize import normalize

# Enough to see a difference that random inputs don't show; each costs two runs of the network.
_MOST = 8

_LIST = Path("samples", "dataset.txt")


def calibration_inputs(
    types: Mapping[str, TensorType], recipe: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, npt.NDArray[np.generic]]]:
    """The first samples, one dictionary each: input name -> array. Empty where there are none.

    types: the graph's inputs. recipe: the recipe's, whose `mean` and `std` are applied.
    """
    if not _LIST.exists():
        return []
    lines = [line.split() for line in _LIST.read_text().splitlines() if line.strip()]
    return [_sample(files, types, recipe) for files in lines[:_MOST]]


def _sample(
    files: list[str], types: Mapping[str, TensorType], recipe: Mapping[str, Mapping[str, Any]]
) -> dict[str, npt.NDArray[np.generic]]:
    if len(files) != len(types):
        raise Fault(f"a calibration sample has {len(files)} arrays for {len(types)} inputs")
    made: dict[str, npt.NDArray[np.generic]] = {}
    for file, (name, type_) in zip(files, types.items(), strict=True):
        told = recipe.get(name, {})
        array = np.load(_found(file), allow_pickle=False)
        if told.get("mean") is not None or told.get("std") is not None:
            array = normalize(array, told.get("mean"), told.get("std"))
        if array.shape != type_.static_shape:
            raise Fault(
                f"calibration data for input `{name}` has the shape {shape_text(array.shape)}, "
                f"the graph takes {shape_text(type_.shape)}",
            )
        made[name] = array.astype(type_.dtype)
    return made


def _found(file: str) -> Path:
    """Lists name their files relative to the working folder, or to themselves."""
    return Path(file) if Path(file).exists() else _LIST.parent / file
