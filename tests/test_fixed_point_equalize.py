"""Equalization: float outputs stay bit for bit, channels of one magnitude come out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from quant.equalization import equalize as module
from quant.equalization.equalize import equalize
from quant.execution.run import FloatRun, run_random
from quant.fixed_point.calibration.ranges import data_free_samples, observe
from quant.fixed_point.lower import lower
from quant.fixed_point.network import reference
from quant.fixed_point.network.options import Options
from quant.fixed_point.prepare import prepare
from quant.graph.check import check_graph
from tests.graph_builder import Builder
from tests.imbalance import unbalance
from tests.random_graphs import random_graph
from tests.vacuous import some

IMAGE = (1, 3, 8, 8)
Link = Callable[[Builder, str], str]


def uneven(b: Builder, *shape: int, axis: int) -> str:
    """Weights whose channels along an axis differ by up to 2^6."""
    name = b.weight(*shape)
    powers = b.random.permutation(np.rint(np.linspace(-3, 3, shape[axis])))
    factor = np.exp2(powers).astype(np.float32)
    b.weights[name] *= factor.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return name


def conv(b: Builder, x: str) -> str:
    return b.op("Conv", x, uneven(b, 8, 3, 3, 3, axis=0), b.weight(8), pads=[1] * 4)


def whole(b: Builder, *numbers: int) -> str:
    name = b.constant(0)
    b.weights[name] = np.array(numbers, np.int64)
    return name


def after(b: Builder, x: str, groups: int = 1) -> str:
    weights = [b.weight(8, 8 // groups, 2, 2), b.weight(8)]
    return b.op("Conv", x, *weights, group=groups)


def dense(b: Builder, x: str, inputs: int) -> str:
    return b.op("Gemm", x, b.weight(5, inputs), b.weight(5), transB=1)


def head(b: Builder, x: str, *steps: str) -> str:
    for step in steps:
        x = b.op(step, x)
    return x


def matrix_steps(b: Builder, flat: bool) -> str:
    """Channels on the last axis, of as many as the axis before: [1, 5, 12] to [1, 5, 5]."""
    x = b.op("MatMul", "x", uneven(b, 12, 5, axis=1))
    return dense(b, b.op("Flatten", x), 25) if flat else b.op("MatMul", x, b.weight(5, 4))


# Between a convolution of 8 channels, [1, 8, 8, 8], and what reads it
PASSES: dict[str, Link] = {
    "nothing": after,
    "relu": lambda b, x: after(b, b.op("Relu", x)),
    "leaky relu": lambda b, x: after(b, b.op("LeakyRelu", x, alpha=0.1)),
    "prelu": lambda b, x: after(b, b.op("PRelu", x, b.weight(8, 1, 1))),
    "negation": lambda b, x: after(b, b.op("Neg", x)),
    "depthwise": lambda b, x: after(b, b.op("Relu", x), groups=8),
    "grouped": lambda b, x: after(b, b.op("Relu", x), groups=2),
    "max pool": lambda b, x: after(b, b.op("MaxPool", x, kernel_shape=[2, 2])),
    "average pool": lambda b, x: after(
        b, b.op("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4)
    ),
    "padding": lambda b, x: after(b, b.op("Pad", x, whole(b, 0, 0, 1, 1, 0, 0, 0, 2))),
    "padding by edges": lambda b, x: after(
        b, b.op("Pad", x, whole(b, 0, 0, 1, 1, 0, 0, 0, 2), mode="edge")
    ),
    "global pooling": lambda b, x: dense(b, head(b, x, "GlobalAveragePool", "Flatten"), 8),
    "mean": lambda b, x: dense(b, b.op("ReduceMean", x, axes=[2, -1], keepdims=0), 8),
    "largest": lambda b, x: dense(b, b.op("ReduceMax", x, axes=[2, 3], keepdims=0), 8),
    "flatten": lambda b, x: dense(b, head(b, x, "Relu", "Flatten"), 512),
    "reshape": lambda b, x: dense(b, b.op("Reshape", x, whole(b, 1, -1)), 512),
    "parts of channels": lambda b, x: b.op(
        "Conv", b.op("Reshape", x, whole(b, 1, 32, 4, 4)), b.weight(4, 16, 2, 2), group=2
    ),
    "channels last": lambda b, x: b.op(
        "MatMul", b.op("Transpose", x, perm=[0, 2, 3, 1]), b.weight(8, 4)
    ),
}
STOPS: dict[str, Link] = {
    "clip": lambda b, x: after(b, b.op("Clip", x, b.constant(0), b.constant(6))),
    "sigmoid": lambda b, x: after(b, b.op("Sigmoid", x)),
    "two readers": lambda b, x: b.op("Add", after(b, x, groups=1), after(b, x, groups=2)),
    "residual": lambda b, x: b.op("Add", x, b.op("Conv", x, b.weight(8, 8, 1, 1))),
    "squared": lambda b, x: after(b, b.op("Mul", x, x)),
    "padding by a number": lambda b, x: after(
        b, b.op("Pad", x, whole(b, 0, 0, 1, 1, 0, 0, 0, 0), b.constant(1))
    ),
    "mean over channels": lambda b, x: b.op(
        "Conv", b.op("ReduceMean", x, axes=[1]), b.weight(2, 1, 2, 2)
    ),
    "rows, not channels": lambda b, x: b.op("MatMul", x, b.weight(8, 4)),
    "channels moved": lambda b, x: after(b, b.op("Transpose", x, perm=[0, 2, 3, 1])),
    "columns": lambda b, x: dense(b, b.op("Flatten", b.op("Transpose", x, perm=[0, 2, 3, 1])), 512),
}


def linked(link: Link) -> onnx.ModelProto:
    b = Builder(seed=5)
    return b.model({"x": IMAGE}, [link(b, conv(b, "x"))])


def require_same_bits(before: onnx.ModelProto, changed: onnx.ModelProto) -> None:
    check_graph(changed, full=True)
    for one, other in some(zip(run_random(before), run_random(changed), strict=True)):
        for name, value in some(one.items()):
            assert value.tobytes() == other[name].tobytes(), name


@pytest.mark.parametrize("name", PASSES)
def test_factors_pass(name: str) -> None:
    before = linked(PASSES[name])
    changed = equalize(before)
    require_same_bits(before, changed)
    peaks = [np.abs(w).max(axis=(1, 2, 3)) for w in (weights(before)[0], weights(changed)[0])]
    spread = [float(p.max() / p.min()) for p in peaks]
    assert spread[1] < spread[0] / 2


@pytest.mark.parametrize("name", STOPS)
def test_factors_stop(name: str) -> None:
    before = linked(STOPS[name])
    assert equalize(before).SerializeToString() == before.SerializeToString()


def test_a_tensor_that_is_an_output_stays() -> None:
    b = Builder(seed=5)
    x = b.op("Relu", conv(b, "x"))
    before = b.model({"x": IMAGE}, [x, after(b, x)])
    assert equalize(before).SerializeToString() == before.SerializeToString()


@pytest.mark.parametrize("flat", [True, False])
def test_channels_on_the_last_axis(flat: bool) -> None:
    b = Builder(seed=5)
    before = b.model({"x": (1, 5, 12)}, [matrix_steps(b, flat)])
    changed = equalize(before)
    require_same_bits(before, changed)
    assert (changed == before) == flat  # flattening scatters them over [25]


def test_random_graphs_keep_every_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair is settled, whatever it gains."""
    monkeypatch.setattr(module, "_LEAST_GAIN", -np.inf)
    changes = 0
    for seed in range(600):
        before = prepare(random_graph(seed))
        changed = equalize(before)
        if changed != before:
            require_same_bits(before, changed)
            changes += 1
    assert changes >= 20


def test_channels_that_are_much_alike_stay() -> None:
    b = Builder(seed=5)
    before = b.model({"x": (1, 3, 16, 16)}, [mobile_net(b)])
    assert equalize(before).SerializeToString() == before.SerializeToString()


def test_weights_that_two_layers_share_are_scaled_for_each() -> None:
    b = Builder(seed=5)
    shared = uneven(b, 8, 8, 1, 1, axis=0)
    x = conv(b, "x")
    for _ in range(3):
        x = b.op("Conv", b.op("Relu", x), shared)
    before = b.model({"x": IMAGE}, [x])
    changed = equalize(before)
    require_same_bits(before, changed)
    assert len(changed.graph.initializer) > len(before.graph.initializer)


def test_dead_channels_are_left_alone() -> None:
    """What lifted 1e-30 to the others' magnitude would lift the channel's bias by 2^100."""
    b = Builder(seed=5)
    x = conv(b, "x")
    b.weights["w0"][2] = 1e-30
    b.weights["w0"][3] = 0
    changed = equalize(b.model({"x": IMAGE}, [after(b, b.op("Relu", x))]))
    bias = constant(changed, changed.graph.node[0].input[2])
    np.testing.assert_array_equal(bias[2:4], b.weights["w1"][2:4])


def mobile_net(b: Builder) -> str:
    """Three depthwise blocks and a head, without the ties that would keep factors from passing."""
    x, channels = "x", 3
    for wide in (16, 24, 32):
        for shape, groups in (((channels, 1, 3, 3), channels), ((wide, channels, 1, 1), 1)):
            scale = (2 / np.prod(shape[1:])) ** 0.5
            weight = b.constant(b.random.standard_normal(shape) * scale)
            bias = b.constant(b.random.standard_normal(shape[0]) * 0.1)
            pads = [1] * 4 if groups > 1 else [0] * 4
            x = b.op("Relu", b.op("Conv", x, weight, bias, group=groups, pads=pads))
        channels = wide
    return b.op("Gemm", head(b, x, "GlobalAveragePool", "Flatten"), b.weight(32, 10), b.weight(10))


@pytest.mark.parametrize("mode", ["B8", "B16"])
def test_an_imbalance_of_2_to_the_3_is_taken_back(mode: str) -> None:
    b = Builder(seed=5)
    before = b.model({"x": (1, 3, 16, 16)}, [mobile_net(b)])
    made = unbalance(before, seed=7)
    require_same_bits(before, made)
    changed = equalize(made)
    require_same_bits(before, changed)
    plain, bad, good = (error(model, mode) for model in (equalize(before), made, changed))
    assert bad > 3 * plain
    assert good < 1.5 * plain


def error(model: onnx.ModelProto, mode: str) -> float:
    """Root mean square error of the integer network, as a share of the outputs' own."""
    samples = list(data_free_samples(model, 16))
    network = lower(model, observe(model, samples), Options(32, bias_mode=mode))
    (output,) = network.outputs
    scale = network.tensors[output.tensor].scale
    assert scale is not None
    run = FloatRun(model)
    real = np.array([run(sample)[output.name] for sample in samples])
    whole_numbers = [reference.run(network, sample)[output.tensor] for sample in samples]
    return float(np.std(np.array(whole_numbers) / float(scale) - real) / np.std(real))


def weights(model: onnx.ModelProto) -> list[NDArray[Any]]:
    """Of the layers, in order."""
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    return [constant(model, node.input[1]) for node in layers]


def constant(model: onnx.ModelProto, name: str) -> NDArray[Any]:
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    return np.asarray(numpy_helper.to_array(tensor))
