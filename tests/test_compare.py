"""How far outputs are apart, and what running and comparing refuses to judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from quant.execution.compare import at_most, difference, differences, require_close
from quant.execution.random_inputs import random_inputs
from quant.fault import Fault
from quant.graph.types import TensorType

NAN, INF = np.nan, np.inf
Array = npt.NDArray[Any]


def floats(*values: float) -> Array:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("expected", "actual", "apart"),
    [
        ([1.0, -4.0], [1.0, -4.0], 0.0),
        ([1.0, -4.0], [2.0, -4.0], 0.25),
        ([0.0, 0.0], [0.0, 0.5], 0.5),
        ([], [], 0.0),
        ([1.0, NAN], [1.0, NAN], 0.0),
        ([1.0, INF], [1.0, INF], 0.0),
        ([1.0, INF], [1.0, -INF], INF),
        ([1.0, NAN], [1.0, 2.0], INF),
        ([1.0, 2.0], [1.0, NAN], INF),
        ([NAN, NAN], [NAN, NAN], NAN),
    ],
)
def test_floats(expected: list[float], actual: list[float], apart: float) -> None:
    found = difference(np.array(expected, np.float32), np.array(actual, np.float32))
    assert found == apart or (np.isnan(found) and np.isnan(apart))


def test_integers_differ_or_not() -> None:
    assert difference(np.array([3, 17, 5, 5]), np.array([3, 16, 5, 5])) == 0.25
    assert difference(np.array([True, False]), np.array([True, True])) == 0.5


def test_the_largest_over_runs_and_the_name() -> None:
    runs = [{"y": floats(1.0)}, {"y": floats(2.0)}]
    others = [{"y": floats(1.5)}, {"y": floats(2.0)}]
    assert differences(runs, others) == {"y": 0.5}
    with pytest.raises(Fault, match=r"proof: output `y` differs by 0.5 .* more than 0.1"):
        require_close({"x": 0.0, "y": 0.5}, 0.1, "proof", "do something")
    require_close({"y": 0.5}, 0.5, "proof", "")
    with pytest.raises(Fault):
        require_close({"y": NAN}, 0.5, "proof", "")


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (
            np.zeros(2, np.float32),
            np.zeros(3, np.float32),
            r"`y`: float32 \[2\] became float32 \[3\]",
        ),
        (np.zeros(2, np.float32), np.zeros(2, np.int64), r"`y`: float32 \[2\] became int64 \[2\]"),
        (floats(NAN), floats(NAN), "`y` is NaN or infinite everywhere"),
    ],
)
def test_what_cannot_be_compared(
    one: Array,
    other: Array,
    message: str,
) -> None:
    with pytest.raises(Fault, match=message):
        differences([{"y": one}], [{"y": other}])


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("float32", -4.5, 4.5),
        ("float16", -4.5, 4.5),
        ("uint8", 0, 255),
        ("int8", -128, 127),
        ("int64", 0, 1),
        ("int32", 0, 1),
        ("bool", 0, 1),
    ],
)
def test_random_inputs_suit_their_type(dtype: str, low: float, high: float) -> None:
    types = {"x": TensorType((1, 3, 20, 20), dtype), "same": TensorType((1, 3, 20, 20), dtype)}
    made = random_inputs(types)
    assert (made["x"].dtype, made["x"].shape) == (np.dtype(dtype), (1, 3, 20, 20))
    assert low <= made["x"].min() < made["x"].max() <= high
    assert np.array_equal(made["x"], random_inputs(types)["x"])
    assert not np.array_equal(made["x"], made["same"])
    assert not np.array_equal(made["x"], random_inputs(types, 1)["x"])


def test_odd_draws_of_floats_are_positive() -> None:
    made = random_inputs({"x": TensorType((1000,), "float32")}, 1)["x"]
    assert (made.min() >= 0, made.max() < 1) == (True, True)


def test_random_inputs_need_lengths_and_types() -> None:
    with pytest.raises(ValueError, match=r"\[1, n\] is not static"):
        random_inputs({"x": TensorType((1, "n"), "float32")})
    with pytest.raises(Fault, match="NumPy has no type `bfloat16`"):
        random_inputs({"x": TensorType((1,), "bfloat16")})


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        (0.0, 0.0),
        (5.96e-08, 1e-5),
        (1e-5, 1e-5),
        (1.01e-5, 1e-4),
        (0.002, 0.01),
        (1.0, 1.0),
        (3.7e30, 1e31),
        (INF, INF),
    ],
)
def test_a_difference_is_told_as_its_bound(value: float, bound: float) -> None:
    assert at_most(value) == bound
