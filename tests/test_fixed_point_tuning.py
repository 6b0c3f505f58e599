"""GPTQ's weights, biases corrected by rehearsed samples, and what quantize keeps for both."""

from __future__ import annotations

import dataclasses
import math
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from pipelines.backends.fixed_point.jobs.prepared import Prepared
from pipelines.backends.fixed_point.recipe.options import FixedPoint
from quant.execution.run import FloatRun
from quant.fixed_point.calibration.ranges import observe
from quant.fixed_point.calibration.taps import Taps, TapSums
from quant.fixed_point.calibration.tuning import (
    Tuner,
    Tuning,
    is_wanted,
    products,
    tap_products,
    work,
)
from quant.fixed_point.lower import lower
from quant.fixed_point.lowering.gptq import round_weights
from quant.fixed_point.network import reference
from quant.fixed_point.network.options import BIAS_MODES, Options
from quant.fixed_point.onnx.to_onnx import to_onnx
from quant.graph.analysis.reals import with_outputs
from tests.graph_builder import parsed
from tests.vacuous import some

Array = NDArray[Any]
Samples = list[dict[str, Array]]


def correlated(seed: int, count: int, taps: int) -> Array:
    """[count, taps]: what taps read in images: neighbours are much alike."""
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((count, 4)) @ np.random.default_rng(99).normal(size=(4, taps))
    made: Array = mixed + 0.1 * random.standard_normal((count, taps)) + 1
    return made


def gemm(weight: Array) -> onnx.ModelProto:
    """x [1, K] @ w."""
    rows, columns = weight.shape
    text = f"g (float[1,{rows}] x) => (float[1,{columns}] y) {{ y = Gemm(x, w, b) }}"
    return parsed(text, {"w": weight, "b": np.zeros(columns, np.float32)})


def tuned(model: onnx.ModelProto, samples: Samples) -> Tuning:
    tuner = Tuner(model)
    observe(model, samples, tuner)
    return tuner.tuning()


def taps_of(rows: Array) -> Taps:
    """Of a layer that reads these rows, [count, taps]."""
    model = gemm(np.ones((rows.shape[1], 1), np.float32))
    return tuned(model, [{"x": row[None].astype(np.float32)} for row in rows]).taps["y"]


@pytest.mark.parametrize("seed", range(5))
def test_sums_change_less_than_by_rounding_to_nearest(seed: int) -> None:
    """On what was not seen before, centred: the bias takes the mean."""
    weight = np.random.default_rng(seed).uniform(-1, 1, (8, 24))
    units = np.full(8, 8.0)
    codes = round_weights(weight, units, taps_of(correlated(seed, 200, 24)))
    assert codes.min() >= -128
    assert codes.max() <= 127
    unseen = correlated(seed + 100, 500, 24)
    unseen -= unseen.mean(axis=0)
    nearest = np.rint(weight * 8)
    errors = [((weight - held / 8) @ unseen.T).std() for held in (codes, nearest)]
    assert errors[0] < errors[1] / 2


def test_taps_that_know_nothing_of_each_other_go_to_nearest() -> None:
    diagonal = np.arange(1.0, 7)
    taps = Taps(
        np.zeros((1, 6), np.float32),
        np.arange(6, dtype=np.int32)[None],
        np.diag(diagonal).astype(np.float32)[None],
    )
    weight = np.random.default_rng(0).uniform(-1, 1, (3, 6))
    powers = np.array([5, 6, 7])
    expected = np.rint(weight * np.exp2(powers)[:, None]).clip(-128, 127)
    np.testing.assert_array_equal(round_weights(weight, np.exp2(powers), taps), expected)


CONVOLUTIONS = [
    ("", (6, 4, 3, 3), 1),
    ("pads=[1,1,1,1]", (6, 4, 3, 3), 1),
    ("strides=[2,1], pads=[0,1,2,1]", (6, 4, 3, 2), 1),
    ("dilations=[1,2]", (6, 4, 2, 2), 1),
    ('auto_pad="SAME_LOWER", strides=[2,2]', (6, 4, 3, 3), 1),
    ("group=2, pads=[1,1,1,1]", (6, 2, 3, 3), 2),
    ("group=4, pads=[1,1,1,1]", (8, 1, 3, 3), 4),
]


@pytest.mark.parametrize(("attributes", "shape", "groups"), CONVOLUTIONS)
def test_moments_are_those_that_onnxruntime_sees(
    attributes: str, shape: tuple[int, ...], groups: int
) -> None:
    """Mean and variance of a convolution's output tell those of what its taps read."""
    random = np.random.default_rng(1)
    weight = random.normal(size=shape).astype(np.float32)
    model = parsed(
        f"g (float[1,4,7,6] x) => (float[1,{shape[0]},h,v] y) {{ y = Conv<{attributes}>(x, w) }}"
        if attributes
        else f"g (float[1,4,7,6] x) => (float[1,{shape[0]},h,v] y) {{ y = Conv(x, w) }}",
        {"w": weight},
    )
    images = np.cumsum(random.normal(size=(30, 1, 4, 7, 6)), axis=-1).astype(np.float32)
    samples = [{"x": image} for image in images]
    taps = tuned(model, samples).taps["y"]
    assert taps.order.shape == (groups, math.prod(shape[1:]))
    run = FloatRun(model)
    outputs = np.concatenate([run(s)["y"].reshape(shape[0], -1) for s in samples], axis=1)
    flat = weight.reshape(groups, shape[0] // groups, -1).astype(np.float64)
    mean = np.einsum("got,gt->go", flat, taps.mean)
    np.testing.assert_allclose(mean.ravel(), outputs.mean(axis=1), rtol=1e-3, atol=1e-3)
    # y = w C w, and U^T U = C^-1: solve U^T z = w, then y = z z
    ordered = np.take_along_axis(flat, np.repeat(taps.order[:, None], flat.shape[1], 1), axis=2)
    lower_ = taps.factor.astype(np.float64).transpose(0, 2, 1)
    z = np.linalg.solve(lower_, ordered.transpose(0, 2, 1))
    variance = (z**2).sum(axis=1).ravel()
    np.testing.assert_allclose(variance, outputs.var(axis=1), rtol=0.05)  # damped a little


def deep(seed: int = 0) -> onnx.ModelProto:
    """Four layers, a Relu behind each but the last."""
    random = np.random.default_rng(seed)
    weights = {f"w{i}": random.normal(size=(8, 8, 3, 3)) / 6 for i in range(4)}
    weights |= {f"b{i}": random.normal(size=8) / 4 for i in range(4)}
    layers = "".join(
        f"c{i} = Conv<pads=[1,1,1,1]>({f'a{i - 1}' if i else 'x'}, w{i}, b{i}) "
        + (f"a{i} = Relu(c{i}) " if i < 3 else "y = Identity(c3) ")
        for i in range(4)
    ).replace("y = Identity(c3) ", "")
    text = f"g (float[1,8,9,9] x) => (float[1,8,9,9] c3) {{ {layers} }}"
    return parsed(text, {name: w.astype(np.float32) for name, w in weights.items()})


def images(count: int, seed: int = 5) -> Samples:
    random = np.random.default_rng(seed)
    return [{"x": random.normal(size=(1, 8, 9, 9)).astype(np.float32)} for _ in range(count)]


@pytest.mark.parametrize("bias_mode", BIAS_MODES)
def test_layers_take_off_what_came_before(bias_mode: str) -> None:
    """A channel is off by its own bias's rounding alone, and by less than without."""
    model, samples = deep(), images(40)
    tuner = Tuner(model)
    ranges = observe(model, samples, tuner)
    real = FloatRun(model)
    expected = np.array([real(sample)["c3"] for sample in samples])
    off = []
    for tuning in (None, tuner.tuning()):
        network = lower(model, ranges, Options(16, bias_mode), tuning)
        run = FloatRun(to_onnx(network, "q"))
        found = np.array([run(sample)["c3"] for sample in samples])
        scale = network.tensors[network.outputs[0].tensor].scale
        assert scale is not None
        off.append(np.abs((found - expected).mean(axis=(0, 1, 3, 4))) * float(scale))
    assert off[1].max() < 0.6  # half of the last place, and what clipping adds
    assert off[1].mean() < off[0].mean()
    if bias_mode == "B16":
        assert off[1].max() < 0.1


def test_a_rehearsal_is_a_run_of_the_network() -> None:
    """The codes that biases were corrected by are those of the network that came out."""
    model, samples = deep(), images(8)
    tuner = Tuner(model)
    ranges = observe(model, samples, tuner)
    tuning = tuner.tuning()
    network = lower(model, ranges, Options(16, "B8"), tuning)
    last = network.operations[-1]
    assert len(tuning.rehearsed.samples) == 8
    codes = [reference.run(network, sample) for sample in tuning.rehearsed.samples]
    scale = network.tensors["a2"].scale
    assert scale is not None
    held = np.mean([one["a2"].mean(axis=(0, 2, 3)) for one in codes], axis=0) / float(scale)
    real = FloatRun(with_outputs(model, ["a2"]))
    floats = np.mean([real(sample)["a2"].mean(axis=(0, 2, 3)) for sample in samples], axis=0)
    told = (tuning.rehearsed.means or {})["a2"]
    np.testing.assert_allclose(told, floats, rtol=1e-5, atol=1e-6)
    shifted = {**(tuning.rehearsed.means or {}), "a2": [float(h) for h in held]}
    rehearsed = dataclasses.replace(tuning.rehearsed, means=shifted)
    still = lower(
        model, ranges, Options(16, "B8"), dataclasses.replace(tuning, rehearsed=rehearsed)
    )
    # With no drift left to see, the last bias is that of the taps' means alone.
    assert not np.array_equal(bias(last), bias(still.operations[-1]))


def bias(operation: Any) -> Array:
    found: Array = operation.rescale.bias_after
    return found


@pytest.mark.parametrize("setting", [{"rounding": "truncate"}, {"shifts": "constant"}])
def test_the_closed_tools_way_is_left_as_it_is(setting: dict[str, str]) -> None:
    model, samples = deep(), images(8)
    tuner = Tuner(model)
    ranges = observe(model, samples, tuner)
    plain = lower(model, ranges, Options(16, "B8", **setting))
    with_tuning = lower(model, ranges, Options(16, "B8", **setting), tuner.tuning())
    for one, other in some(zip(plain.operations, with_tuning.operations, strict=True)):
        np.testing.assert_array_equal(getattr(one, "weight", 0), getattr(other, "weight", 0))
        assert str(one) == str(other)


def test_what_is_saved_gives_the_same_network(tmp_path: Path) -> None:
    model, samples = deep(), images(10)
    tuner = Tuner(model)
    ranges = observe(model, samples, tuner)
    tuning = tuner.tuning()
    tuning.save(tmp_path)
    files = [
        to_onnx(lower(model, ranges, Options(16), t), "q") for t in (tuning, Tuning.load(tmp_path))
    ]
    assert files[0].SerializeToString() == files[1].SerializeToString()
    assert Tuning.load(tmp_path / "nothing") == Tuning()


def test_rehearsed_samples_are_spread_and_few() -> None:
    model = deep()
    tuner = Tuner(model)
    run = FloatRun(with_outputs(model, ["a0", "a1", "a2"]))
    seen: list[weakref.ref[Array]] = []

    def numbered() -> Iterator[dict[str, Array]]:
        for number in range(300):
            sample = {"x": np.full((1, 8, 9, 9), number / 300, np.float32)}
            seen.append(weakref.ref(sample["x"]))
            yield sample

    for sample in numbered():
        tuner.add(sample, {**sample, **run(sample)})
    del sample
    kept = [s["x"].flat[0] * 300 for s in tuner.tuning().rehearsed.samples]
    assert 32 <= len(kept) <= 64
    assert np.ptp(np.diff(kept)) < 0.01
    assert kept[-1] > 280
    assert sum(ref() is not None for ref in seen) == len(kept)


def test_auto_is_for_what_is_quick() -> None:
    small = gemm(np.ones((64, 10), np.float32))
    large = gemm(np.ones((2000, 1000), np.float32))
    assert work(small) < work(large)
    assert products(small) == 640
    assert [is_wanted("auto", model) for model in (small, large)] == [True, False]
    assert is_wanted("gptq", large)
    assert not is_wanted("nearest", small)


def test_taps_that_read_nothing() -> None:
    """Channels that are 0 in every sample, and a whole input of zeros."""
    rows = correlated(0, 50, 6)
    rows[:, 2] = 0
    weight = np.random.default_rng(0).uniform(-1, 1, (3, 6))
    codes = round_weights(weight, np.full(3, 64.0), taps_of(rows))
    np.testing.assert_array_equal(codes[:, 2], np.rint(weight[:, 2] * 64))
    codes = round_weights(weight, np.full(3, 64.0), taps_of(np.zeros((50, 6))))
    np.testing.assert_array_equal(codes, np.rint(weight * 64))


def test_large_reals_do_not_overflow() -> None:
    taps = taps_of(correlated(0, 50, 6) * 1e25)
    assert np.isfinite(taps.factor).all()
    assert (np.einsum("gtt->gt", taps.factor) > 0).all()


def test_taps_that_hardly_change_are_rounded_all_the_same() -> None:
    """A saturated layer: what the subtraction of the mean leaves is its own rounding error."""
    weight = np.random.default_rng(0).standard_normal((48, 3)).astype(np.float32)
    model = parsed("g (float[1,48] x) => (float[1,3] y) { y=Gemm(x,w) }", {"w": weight})
    sums = TapSums(model)
    for seed in range(40):
        noise = np.random.default_rng(seed).choice([0, 0, 0, 1, 2], (1, 48)) * 2.0**-23
        sums.add({"x": (1 + noise).astype(np.float32)})
    (taps,) = sums.taps().values()
    assert np.isfinite(taps.factor).all()
    units = np.full(3, 32.0)
    far = np.abs(round_weights(weight.T, units, taps) / 32 - weight.T)
    assert far.max() < 0.1  # a code is 1 / 32


@pytest.mark.parametrize("rounding", ["nearest", "gptq"])
def test_a_tensor_whose_channels_are_two_axes(rounding: str) -> None:
    """A Conv reads axis 1, a MatMul the last: what one reads on average must not correct both."""
    random = np.random.default_rng(0)
    weights = {n: random.standard_normal(s) for n, s in (("w", (4, 4, 1, 1)), ("v", (4, 4)))}
    model = parsed(
        "g (float[1,4,4,4] x) => (float[1,4,4,4] y, float[1,4,4,4] z) "
        "{ y=Conv(x,w) z=MatMul(x,v) }",
        {name: value.astype(np.float32) for name, value in weights.items()},
    )
    mean = np.array([3, -3, 1, -1]).reshape(1, 4, 1, 1)
    samples = [
        {"x": (random.standard_normal((1, 4, 4, 4)) * 0.3 + mean).astype(np.float32)}
        for _ in range(32)
    ]
    chosen = FixedPoint(8, weight_rounding=rounding)
    network = Prepared.of(model, chosen, samples).lowered(Options(8))
    run = FloatRun(model)
    for sample in samples[:4]:
        made = reference.outputs(network, reference.run(network, sample))
        for name, reals in some(run(sample).items()):
            far = np.abs(made[name].astype(np.float64) - reals.astype(np.float64)).max()
            assert far < np.abs(reals).max() / 20, name


def test_of_many_samples_of_a_large_network_ever_fewer_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = gemm(np.ones((4, 2), np.float32))
    monkeypatch.setattr("quant.fixed_point.calibration.tuning._TAP_WORK", 10 * tap_products(model))
    tuner, seen = Tuner(model), []
    monkeypatch.setattr(TapSums, "add", lambda self, tensors: seen.append(int(tensors["x"][0, 0])))
    for i in range(100):
        x = np.full((1, 4), i, np.float32)
        tuner.add({"x": x}, {"x": x})
    assert seen[:10] == list(range(10))
    assert seen[10:] == [10, 12, 14, 16, 18, *range(20, 40, 4), *range(40, 80, 8), 80, 96]
