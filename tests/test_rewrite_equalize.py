"""equalize_channels: no bit of an output changes, and channels come out alike."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from quant.execution.run import run_random
from quant.rewrites.apply import Applied
from tests.graph_builder import Builder
from tests.rewriting import require_the_same, rewritten
from tests.vacuous import some

RULE = "equalize_channels"
APART = 2.0**6


def unequal(link: str, apart: float) -> onnx.ModelProto:
    """Two convolutions; every second channel between them is `apart` times as large."""
    b = Builder(0)
    factor = np.where(np.arange(8) % 2, apart, 1).astype(np.float32)
    first, second = b.weight(8, 3, 3, 3), b.weight(8, 8, 1, 1)
    b.weights[first] *= factor[:, None, None, None]
    b.weights[second] /= factor[None, :, None, None]
    x = b.op("Conv", "x", first, pads=[1] * 4)
    if link == "Clip":
        x = b.op("Clip", x, b.constant(0.0), b.constant(6.0))
    elif link == "AveragePool":
        x = b.op(link, b.op("Relu", x), kernel_shape=[2, 2], strides=[2, 2])
    else:
        x = b.op(link, x)
    return b.model({"x": (1, 3, 8, 8)}, [b.op("Conv", x, second)])


def made(link: str, apart: float) -> tuple[Applied, float]:
    """What was done, and by what factor the channels between differ afterwards."""
    model = unequal(link, apart)
    after, applied = rewritten(RULE, model)
    require_the_same(RULE, model, after)
    for one, other in some(zip(run_random(model), run_random(after), strict=True)):
        for name, array in some(one.items()):
            np.testing.assert_array_equal(array, other[name])
    weights = {tensor.name: tensor for tensor in after.graph.initializer}
    node = next(node for node in after.graph.node if node.op_type == "Conv")
    peaks = np.abs(onnx.numpy_helper.to_array(weights[node.input[1]])).max(axis=(1, 2, 3))
    return applied, float(peaks.max() / peaks.min())


@pytest.mark.parametrize("link", ["Relu", "LeakyRelu", "AveragePool"])
def test_channels_are_made_alike(link: str) -> None:
    applied, ratio = made(link, APART)
    assert len(applied.fired) == 1  # and nothing is left to do
    assert len(applied.fired[0].nodes) == len(applied.fired[0].became) == 2
    assert ratio < 8


@pytest.mark.parametrize(("link", "apart"), [("Clip", APART), ("Sigmoid", APART), ("Relu", 1.0)])
def test_what_stays_as_it_is(link: str, apart: float) -> None:
    applied, ratio = made(link, apart)
    assert (applied.fired, applied.refused) == ((), ())
    assert (ratio > 8) == (apart > 1)
