"""How far one tensor is from another, and how often a classifier is right.

All compute in float64 and refuse values that are not finite: a metric must not hide them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from quant.products import product
from quant.report.layer_error import Distance

Array = npt.NDArray[np.generic]
Float64 = npt.NDArray[np.float64]


class NotFinite(ValueError):
    """A tensor holds NaN or an infinity, so that no distance to it exists."""


def cosine(expected: Array, actual: Array) -> float:
    """Cosine of the angle between two tensors taken as vectors, -1 to 1.

    Blind to a common factor: a tensor and its double have cosine 1. Two tensors of zeros are equal
    (1); one of zeros and another have nothing in common (0).
    Raises ValueError where shapes differ or are empty, NotFinite.
    """
    one, other = _pair(expected, actual)
    one_length, other_length = _scaled(one), _scaled(other)
    if not one_length.any() or not other_length.any():
        return float(not one_length.any() and not other_length.any())
    both = product(one_length, other_length)
    lengths = math.sqrt(product(one_length, one_length) * product(other_length, other_length))
    return min(1.0, max(-1.0, both / lengths))


def _scaled(vector: Float64) -> Float64:
    """The vector with a largest magnitude of 1, so that squares can't overflow or vanish."""
    largest = float(np.abs(vector).max())
    return vector / largest if largest else vector


def euclidean(expected: Array, actual: Array) -> float:
    """Length of the difference of two tensors taken as vectors, in the tensors' own unit.

    Raises ValueError where shapes differ or are empty, NotFinite.
    """
    one, other = _pair(expected, actual)
    apart = one - other
    return math.sqrt(product(apart, apart))


def max_abs_difference(expected: Array, actual: Array) -> float:
    """Largest difference of two elements in the same place.

    Raises ValueError where shapes differ or are empty, NotFinite.
    """
    one, other = _pair(expected, actual)
    return float(np.abs(one - other).max())


def distance(expected: Array, actual: Array) -> Distance:
    """Of two tensors of the same shape. NaN where one isn't finite."""
    try:
        return Distance(cosine(expected, actual), euclidean(expected, actual))
    except NotFinite:
        return Distance(float("nan"), float("nan"))


def top1(scores: Array, labels: npt.NDArray[np.integer[Any]]) -> float:
    """Share of samples whose highest score is that of their label, 0 to 1.

    scores: [N, classes]. labels: class indices, [N]. The first of equal scores counts as highest.
    Raises ValueError where they do not fit each other, NotFinite.
    """
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(
            f"scores must be [N, classes] and labels [N]; "
            f"they are {list(scores.shape)} and {list(labels.shape)}"
        )
    if scores.size == 0:
        raise ValueError("no samples to judge")
    _finite(scores.astype(np.float64), "scores")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= scores.shape[1]:
        raise ValueError(f"labels run from {low} to {high}, for {scores.shape[1]} classes")
    return float(np.mean(scores.argmax(axis=1) == labels))


def _pair(expected: Array, actual: Array) -> tuple[Float64, Float64]:
    if expected.shape != actual.shape:
        raise ValueError(f"shapes differ: {list(expected.shape)} and {list(actual.shape)}")
    if expected.size == 0:
        raise ValueError("empty tensors have no distance")
    one, other = (array.astype(np.float64).ravel() for array in (expected, actual))
    _finite(one, "the expected tensor")
    _finite(other, "the actual tensor")
    return one, other


def _finite(values: Float64, noun: str) -> None:
    bad = values.size - int(np.isfinite(values).sum())
    if bad:
        raise NotFinite(f"{bad} of {values.size} values of {noun} are NaN or infinite")
