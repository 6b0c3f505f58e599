"""drop_dead_channels: what is proven to be one number goes, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from tests.graph_builder import Builder
from tests.rewriting import reasons, require_the_same, rewritten

RULE = "drop_dead_channels"
SHAPE = (1, 3, 8, 8)
DEAD = [1, 4, 5]


class Net(Builder):
    """Convolutions with chosen channels dead."""

    def conv(self, x: str, c_in: int, c_out: int, kernel: int, **given: Any) -> str:
        bias = self.weight(c_out)
        return self.op("Conv", x, self.weight(c_out, c_in, kernel, kernel), bias, **given)

    def dead_conv(self, x: str, weight: float, bias: float, **given: Any) -> str:
        """3 -> 8 channels, those of DEAD with one weight and bias."""
        weights = self.random.uniform(-1, 1, (8, 3, 3, 3))
        biases = self.random.uniform(-1, 1, 8)
        weights[DEAD], biases[DEAD] = weight, bias
        return self.op("Conv", x, self.constant(weights), self.constant(biases), **given)

    def depthwise(self, x: str, weight: float, bias: float, **given: Any) -> str:
        """8 channels, those of DEAD with one weight and bias."""
        weights = self.random.uniform(-1, 1, (8, 1, 3, 3))
        biases = self.random.uniform(-1, 1, 8)
        weights[DEAD], biases[DEAD] = weight, bias
        constants = self.constant(weights), self.constant(biases)
        return self.op("Conv", x, *constants, group=8, **given)


def zero_weights(n: Net) -> str:
    return n.conv(n.op("Relu", n.dead_conv("x", 0, -0.5)), 8, 4, 3, pads=[1] * 4)


def constant_without_padding(n: Net) -> str:
    return n.conv(n.op("Relu", n.dead_conv("x", 0, 0.75)), 8, 4, 3)


def no_activation(n: Net) -> str:
    return n.conv(n.dead_conv("x", 0, 0.75), 8, 4, 1)


def never_through_relu(n: Net) -> str:
    """The first Relu's channels reach 6; with weights of -0.01 the second lets nothing through."""
    x = n.op("Clip", n.conv("x", 3, 3, 1), n.constant(0.0), n.constant(6.0))
    return n.conv(n.op("Relu", n.dead_conv(x, -0.01, -0.1)), 8, 4, 3, pads=[1] * 4)


def depthwise_between(n: Net) -> str:
    x = n.op("Relu", n.dead_conv("x", 0, -1))
    x = n.op("Relu", n.depthwise(x, 3, 0, pads=[1] * 4))
    return n.conv(x, 8, 4, 1)


def depthwise_makes_them(n: Net) -> str:
    x = n.op("Relu", n.conv("x", 3, 8, 1))
    return n.conv(n.op("Relu", n.depthwise(x, 0, 0.25)), 8, 4, 1)


def no_bias(n: Net) -> str:
    weights = n.random.uniform(-1, 1, (8, 3, 3, 3))
    weights[DEAD] = 0
    made = n.op("Relu", n.op("Conv", "x", n.constant(weights)))
    return n.op("Conv", made, n.weight(4, 8, 1, 1))


def tiny_weights(n: Net) -> str:
    return n.conv(n.op("Relu", n.dead_conv("x", 1e-30, -0.5)), 8, 4, 3, pads=[1] * 4)


def tiny_weights_and_a_constant(n: Net) -> str:
    return n.conv(n.op("Relu", n.dead_conv("x", 1e-30, 0.5)), 8, 4, 3)


GONE = [tiny_weights, tiny_weights_and_a_constant, zero_weights, constant_without_padding,
        no_activation, never_through_relu, depthwise_between, depthwise_makes_them,
        no_bias]  # fmt: skip


def outcome(build: Any) -> tuple[onnx.ModelProto, Any]:
    n = Net(0)
    model = n.model({"x": SHAPE}, [build(n)])
    after, applied = rewritten(RULE, model)
    require_the_same(RULE, model, after)
    return after, applied


def widest(model: onnx.ModelProto) -> int:
    return max(int(tensor.dims[0]) for tensor in model.graph.initializer if len(tensor.dims) == 4)


@pytest.mark.parametrize("build", GONE, ids=lambda build: build.__name__)
def test_dead_channels_go(build: Any) -> None:
    after, applied = outcome(build)
    assert len(applied.fired) == 1
    assert widest(after) == 8 - len(DEAD)


def almost(n: Net) -> str:
    """The sum may be above 0 by its rounding alone: nothing is proven."""
    x = n.op("Clip", n.conv("x", 3, 3, 1), n.constant(0.0), n.constant(1.0))
    return n.conv(n.op("Relu", n.dead_conv(x, 1e-3, -27e-3)), 8, 4, 1)


def unbounded(n: Net) -> str:
    return n.conv(n.op("Relu", n.dead_conv("x", -1e-3, -1)), 8, 4, 1)


@pytest.mark.parametrize("build", [almost, unbounded], ids=lambda build: build.__name__)
def test_what_is_not_proven_stays(build: Any) -> None:
    after, applied = outcome(build)
    assert (applied.fired, applied.refused, widest(after)) == ((), (), 8)


def padded_constant(n: Net) -> str:
    return n.conv(n.op("Relu", n.dead_conv("x", 0, 0.75)), 8, 4, 3, pads=[1] * 4)


def read_twice(n: Net) -> str:
    x = n.op("Relu", n.dead_conv("x", 0, 0))
    return n.op("Add", n.conv(x, 8, 4, 1), n.conv(x, 8, 4, 1))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (padded_constant, "the Conv pads with zeros, and the constant is not 0"),
        (read_twice, "another Conv reads the channels"),
    ],
)
def test_refusals(build: Any, reason: str) -> None:
    after, applied = outcome(build)
    assert {why for _, why in reasons(applied)} == {reason}
    assert widest(after) == 8


def test_of_all_dead_channels_one_stays() -> None:
    n = Net(0)
    x = n.op("Relu", n.op("Conv", "x", n.constant(np.zeros((8, 3, 1, 1))), n.constant([-1.0] * 8)))
    model = n.model({"x": SHAPE}, [n.conv(x, 8, 4, 1)])
    after, _ = rewritten(RULE, model)
    require_the_same(RULE, model, after)
    assert [list(t.dims)[:2] for t in after.graph.initializer if len(t.dims) == 4] == [
        [4, 1],
        [1, 3],
    ]
