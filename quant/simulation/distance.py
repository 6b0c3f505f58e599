"""Cosine and Euclidean distance of a layer's tensors, in one walk over them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from quant.products import BLOCK

Array = npt.NDArray[Any]
_BLOCK = BLOCK  # what is read twice is then still in the cache


def distances(expected: Array, *found: Array) -> list[tuple[float, float]]:
    """(cosine, euclidean) of each of `found`, in float64; NaN for both where one is not finite.

    As quant.report.metrics has them: two tensors of zeros have cosine 1, one of them 0. float32
    tensors: their squares can neither overflow nor vanish in float64.
    """
    one = expected.reshape(-1)
    others = [array.reshape(-1) for array in found]
    own = 0.0
    sums = np.zeros((len(others), 3))  # product, square, square of the difference
    for start in range(0, one.size, _BLOCK):
        part = one[start : start + _BLOCK].astype(np.float64)
        own += float(part @ part)
        for row, other in zip(sums, others, strict=True):
            values = other[start : start + _BLOCK].astype(np.float64)
            row[0] += part @ values
            row[1] += values @ values
            np.subtract(part, values, out=values)
            row[2] += values @ values
    return [_pair(own, *row) for row in sums.tolist()]


def _pair(own: float, product: float, other: float, apart: float) -> tuple[float, float]:
    if not all(map(math.isfinite, (own, product, other, apart))):
        return math.nan, math.nan
    if not own or not other:
        return float(not own and not other), math.sqrt(apart)
    cosine = product / math.sqrt(own * other)
    return min(1.0, max(-1.0, cosine)), math.sqrt(apart)
