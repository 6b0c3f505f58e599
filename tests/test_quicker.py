"""What is computed here in less time is what NumPy computes, or is left to the SDK."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import pytest

from pipelines.backends.rknn.sdk.instead.quicker import of_filters, of_shape
from tests.vacuous import some

RANDOM = np.random.default_rng(0)
WEIGHTS = [
    RANDOM.standard_normal(shape).astype(np.float32)
    for shape in ((1,), (7,), (5, 3, 3, 3), (64, 1, 3, 3), (2, 300, 1, 1))
]
OTHER_WEIGHTS = (
    np.zeros(4, np.float32),
    np.array([[1, -0.0], [2, 3]], np.float32),
    np.ones(4),
    np.ones((0, 3), np.float32),
    np.ones((4, 3), np.float32).T,
    np.float32(1),
    None,
)
SHAPES = ([3], [1, 3, 224, 224], [-1, 5], [2**40, 2**22], onnx.TensorProto(dims=[4, 3]).dims)
OTHER_SHAPES: tuple[Any, ...] = (
    *([], [0, 3], [2**40, 2**40], [2.0, 3], [True, 3], [np.int32(2), 3], ["a"], [[1], [2]]),
    *(3, (2, 3), np.array([2, 3]), onnx.TensorProto().dims, None),
)


def test_ranges_are_those_of_one_filter_after_the_other() -> None:
    for weights in some([*WEIGHTS, np.array([[1, math.nan], [2, 3]], np.float32)]):
        low = [float(one.min()) for one in weights]
        high = [float(one.max()) for one in weights]
        assert repr(of_filters(weights)) == repr((low, high))


@pytest.mark.parametrize("weights", OTHER_WEIGHTS, ids=repr)
def test_other_weights_are_left_to_the_sdk(weights: Any) -> None:
    assert of_filters(weights) is None


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_a_product_is_numpys(shape: Any) -> None:
    found, expected = of_shape(shape), np.prod(shape)
    assert type(found) is type(expected)
    assert found == expected


@pytest.mark.parametrize("shape", OTHER_SHAPES, ids=repr)
def test_other_shapes_are_left_to_numpy(shape: Any) -> None:
    assert of_shape(shape) is None
