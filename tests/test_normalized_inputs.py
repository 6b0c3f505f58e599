"""mean and std of inputs that the SDK ignores, as nodes: the same float outputs bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from quant.conversion.normalized_inputs import ignored, normalized
from quant.execution.run import FloatRun
from quant.fault import Fault
from quant.samples.input import Input
from quant.samples.normalize import normalize
from tests.graph_builder import parsed

RANDOM = np.random.default_rng(0)
NETWORK = """
g (float[1,4] x, float[1,4] other) => (float[1,4] y) { s = Add(x, other) y = Mul(s, x) }
"""


@pytest.mark.parametrize(
    "told",
    [
        {"mean": [200.0], "std": [100.3]},
        {"mean": [1.0, 2.0, 3.0, 4.1], "std": [0.3, 0.7, 1.1, 2.0]},
        {"mean": None, "std": [3.0]},
        {"mean": [7.0], "std": None},
    ],
)
def test_the_same_outputs_bit_for_bit(told: dict[str, Any]) -> None:
    before = parsed(NETWORK)
    after = normalized(before, ["x"], {"x": Input(**told)})
    onnx.checker.check_model(after, full_check=True)
    feeds = {n: (RANDOM.normal(0, 100, (1, 4))).astype(np.float32) for n in ("x", "other")}
    given = {**feeds, "x": normalize(feeds["x"], told["mean"], told["std"])}
    (expected,), (found,) = FloatRun(before)(given).values(), FloatRun(after)(feeds).values()
    assert np.array_equal(expected, found)


def test_which_inputs() -> None:
    told = {"flat": Input(mean=(1.0,)), "picture": Input(mean=(1.0,)), "plain": Input()}
    shapes = {"picture": (1, 3, 8, 8), "flat": (1, 4), "plain": (1, 4), "untold": (2,)}
    assert ignored(shapes, told) == ["flat"]


def test_whole_numbers_have_no_mean() -> None:
    with pytest.raises(Fault, match="int64"):
        normalized(
            parsed(NETWORK.replace("float[1,4]", "int64[1,4]")), ["x"], {"x": Input(std=(2,))}
        )
