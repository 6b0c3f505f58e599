"""Seeded random inputs that suit each input's element type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from quant.graph.types import TensorType, numpy_dtype

# Draws 0 and 2 are normal, draw 1 lies in [0, 1): some networks take a logarithm or a root.
DRAWS = 3


def random_inputs(
    types: Mapping[str, TensorType], draw: int = 0
) -> dict[str, npt.NDArray[np.generic]]:
    """Input name -> array, the same for the same names, types and draw on every machine.

    Floats: standard normal for even draws, uniform in [0, 1) for odd ones. int8 and uint8: their
    whole range, as pixels have. Wider integers, which mostly are indices or masks: 0 or 1. Raises
    ValueError on shapes that are not static, Fault on types that NumPy lacks.
    """
    made: dict[str, npt.NDArray[np.generic]] = {}
    for index, (name, type_) in enumerate(types.items()):
        source = np.random.default_rng([draw, index])
        made[name] = _random(source, type_.static_shape, np.dtype(numpy_dtype(type_.dtype)), draw)
    return made


def _random(
    source: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any], draw: int
) -> npt.NDArray[np.generic]:
    if dtype.kind == "f":
        values = source.random(shape) if draw % 2 else source.standard_normal(shape)
        return values.astype(dtype)
    if dtype.itemsize == 1 and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return source.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)
    return source.integers(0, 2, shape).astype(dtype)
