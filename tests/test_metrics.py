"""Metrics against exact fractions and vectors whose distances are known."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from quant.report.metrics import NotFinite, cosine, euclidean, max_abs_difference, top1

Array = npt.NDArray[np.generic]
# Summing n products of float64 loses at most n units in the last place of the sum of magnitudes.
EPSILON = float(np.finfo(np.float64).eps)
ROUNDING = 1000 * EPSILON


def exact(one: Array, other: Array) -> tuple[float, float, float]:
    """Cosine, euclidean distance and largest difference in rational arithmetic."""
    a = [Fraction(float(value)) for value in one.ravel()]
    b = [Fraction(float(value)) for value in other.ravel()]
    product = sum(x * y for x, y in zip(a, b, strict=True))
    lengths = sum(x * x for x in a) * sum(y * y for y in b)
    squares = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    largest = max(abs(x - y) for x, y in zip(a, b, strict=True))
    return float(product) / math.sqrt(lengths), math.sqrt(squares), float(largest)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
def test_against_fractions(seed: int, dtype: type[np.generic]) -> None:
    random = np.random.default_rng(seed)
    one = (random.normal(0, 20, (2, 5, 7))).astype(dtype)
    other = one + random.integers(-3, 4, one.shape).astype(dtype)
    expected = exact(one, other)
    assert cosine(one, other) == pytest.approx(expected[0], abs=ROUNDING)
    assert euclidean(one, other) == pytest.approx(expected[1], rel=ROUNDING)
    assert max_abs_difference(one, other) == expected[2]


COSINES = [
    ([3, 4], [3, 4], 1.0),
    ([3, 4], [-3, -4], -1.0),
    ([1, 0], [0, 1], 0.0),
    ([1, 0], [1, 1], math.sqrt(0.5)),
    ([3, 4], [6, 8], 1.0),
    ([0, 0], [0, 0], 1.0),
    ([0, 0], [1, 0], 0.0),
    ([1, 0], [0, 0], 0.0),
    ([1e300, 0], [1e300, 1e300], math.sqrt(0.5)),  # squares would overflow
    ([1e-300, 0], [1e-300, 1e-300], math.sqrt(0.5)),  # squares would vanish
]


@pytest.mark.parametrize(("one", "other", "expected"), COSINES)
def test_cosines(one: list[float], other: list[float], expected: float) -> None:
    found = cosine(np.array(one, np.float64), np.array(other, np.float64))
    assert found == pytest.approx(expected, abs=4 * EPSILON)
    assert -1 <= found <= 1


def test_a_cosine_of_rounded_parallel_vectors_is_at_most_one() -> None:
    random = np.random.default_rng(0)
    for _ in range(100):
        one = random.normal(size=300)
        assert cosine(one, one * 3) <= 1


def test_distances() -> None:
    one, other = np.array([[0.0, 3.0]]), np.array([[4.0, 3.0]])
    assert euclidean(one, other) == 4
    assert euclidean(np.array([0, 0]), np.array([3, 4])) == 5
    assert max_abs_difference(np.array([1, -5]), np.array([2, 2])) == 7


def test_int8_differences_do_not_wrap() -> None:
    one, other = np.array([-128], np.int8), np.array([127], np.int8)
    assert max_abs_difference(one, other) == 255
    assert euclidean(one, other) == 255


@pytest.mark.parametrize("metric", [cosine, euclidean, max_abs_difference])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["expected", "actual"])
def test_values_that_are_not_finite_are_refused(metric, bad: float, side: str) -> None:  # type: ignore[no-untyped-def]
    good, wrong = np.array([1.0, 2.0]), np.array([1.0, bad])
    pair = (wrong, good) if side == "expected" else (good, wrong)
    with pytest.raises(NotFinite, match=f"1 of 2 values of the {side} tensor are NaN or infinite"):
        metric(*pair)


@pytest.mark.parametrize("metric", [cosine, euclidean, max_abs_difference])
def test_shapes_must_agree(metric) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"shapes differ: \[2\] and \[1, 2\]"):
        metric(np.zeros(2), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="empty"):
        metric(np.zeros(0), np.zeros(0))


def test_the_callers_arrays_stay_as_they_are() -> None:
    one, other = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    for metric in (cosine, euclidean, max_abs_difference):
        metric(one, other)
    assert one.tolist() == [1, 2]
    assert other.tolist() == [3, 4]


TOP1 = [
    ([[0.1, 0.9], [0.8, 0.2]], [1, 0], 1.0),
    ([[0.1, 0.9], [0.8, 0.2]], [0, 0], 0.5),
    ([[0.1, 0.9], [0.8, 0.2], [1, 0]], [0, 1, 1], 0.0),
    ([[0.5, 0.5]], [0], 1.0),  # the first of equals
    ([[0.5, 0.5]], [1], 0.0),
]


@pytest.mark.parametrize(("scores", "labels", "expected"), TOP1)
def test_top1(scores: list[list[float]], labels: list[int], expected: float) -> None:
    assert top1(np.array(scores), np.array(labels)) == expected


BAD_TOP1 = {
    "labels run from 0 to 2, for 2 classes": ([[0.0, 1.0]] * 2, [0, 2]),
    "labels run from -1 to 0, for 2 classes": ([[0.0, 1.0]] * 2, [0, -1]),
    r"they are \[2, 2\] and \[1\]": ([[0.0, 1.0]] * 2, [0]),
    r"they are \[2\] and \[2\]": ([0.0, 1.0], [0, 1]),
    "1 of 2 values of scores are NaN or infinite": ([[np.nan, 1.0]], [0]),
}


@pytest.mark.parametrize("message", BAD_TOP1)
def test_top1_refuses(message: str) -> None:
    scores, labels = BAD_TOP1[message]
    with pytest.raises(ValueError, match=message):
        top1(np.array(scores), np.array(labels))


def test_top1_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        top1(np.zeros((0, 2)), np.zeros(0, np.int64))
