"""Lowering: scales, shifts and biases of tiny graphs, against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from quant.fault import Fault
from quant.fixed_point.calibration.ranges import Range
from quant.fixed_point.lower import lower
from quant.fixed_point.lowering.weights import quantize_weights
from quant.fixed_point.network import network as net
from quant.fixed_point.network import reference
from quant.fixed_point.network.network import Tensor
from quant.fixed_point.network.options import Options
from quant.fixed_point.network.scales import exponent, fitting, odd_part, power_of_two
from tests.graph_builder import from_x_to_y
from tests.vacuous import some


def gemm(weight: list[list[float]], bias: list[float], tail: str = "") -> onnx.ModelProto:
    """x [1, K] times weight [K, M] plus bias."""
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["a" if tail else "y"], name="gemm")]
    if tail:
        nodes.append(helper.make_node(tail, ["a"], ["y"], name=tail.lower()))
    w, b = np.array(weight, np.float32), np.array(bias, np.float32)
    return from_x_to_y(nodes, (1, w.shape[0]), (1, w.shape[1]), {"w": w, "b": b})


def product_of(model: onnx.ModelProto, peak: float, **options: object) -> net.MatrixProduct:
    settings = Options(**{"input_scales": 16, **options})  # type: ignore[arg-type]
    made = lower(model, {"y": Range(-peak, peak), "a": Range(-peak, peak)}, settings)
    (operation,) = made.operations
    assert isinstance(operation, net.MatrixProduct)
    return operation


@pytest.mark.parametrize(
    ("scale", "odd", "power"),
    [(16, 1, 4), (20, 5, None), (3, 3, None), (Fraction(1, 8), 1, -3), (Fraction(5, 4), 5, None)],
)
def test_scales(scale: int | Fraction, odd: int, power: int | None) -> None:
    assert odd_part(Fraction(scale)) == odd
    assert power_of_two(Fraction(scale)) == power


@pytest.mark.parametrize("limit", [1.0, 0.99, 2.0, 127.5, 1e-9, 3.9999])
def test_exponent_is_the_floor_of_log2(limit: float) -> None:
    e = exponent(limit)
    assert Fraction(2) ** e <= Fraction(limit) < Fraction(2) ** (e + 1)


@pytest.mark.parametrize("factor", [1, 3, 5])
@pytest.mark.parametrize("peak", [0.1, 1.0, 6.0, 127.5, 1000.0])
def test_fitting_scale_is_the_finest_that_holds_the_peak(factor: int, peak: float) -> None:
    scale = fitting(Fraction(factor), peak)
    assert Fraction(peak) * scale <= Fraction(255, 2) < Fraction(peak) * scale * 2


@pytest.mark.parametrize("rounding", ["compensated", "truncate"])
def test_b16_bias_is_at_the_accumulators_scale(rounding: str) -> None:
    # w 0.75: f = floor(log2(127.5 / 0.75)) = 7, code 96; S_acc = 16 * 128 = 2048;
    # peak 5: S_y = 16, n = 7; b16 = rint(0.3 * 2048) = 614, and 2^6 where compensated
    done = product_of(gemm([[0.75]], [0.3]), 5.0, rounding=rounding)
    assert done.weight.tolist() == [[96]]
    assert int(done.rescale.shift) == 7
    assert done.rescale.bias_after is None
    assert done.rescale.bias is not None
    assert done.rescale.bias.tolist() == [614 + (64 if rounding == "compensated" else 0)]


@pytest.mark.parametrize(("rounding", "bias"), [("compensated", 3), ("truncate", 2)])
def test_b8_bias_is_at_the_results_scale(rounding: str, bias: int) -> None:
    # S_y = 16, n = 7: rint(0.15 * 16 + (1 - 2^-7) / 2) = rint(2.896), rint(2.4)
    done = product_of(gemm([[0.75]], [0.15]), 5.0, bias_mode="B8", rounding=rounding)
    assert done.rescale.bias is None
    assert done.rescale.bias_after is not None
    assert done.rescale.bias_after.tolist() == [bias]


@pytest.mark.parametrize(("rounding", "bias"), [("compensated", 740), ("truncate", 614)])
def test_what_rounded_weights_add_on_average_is_taken_off(rounding: str, bias: int) -> None:
    # 0.753 becomes 96 / 128 = 0.75, which makes 0.003 * 10 too little where x is 10 on average:
    # b16 = rint((0.3 + 0.03) * 2048 + 2^6); the closed tool's way leaves the bias as it is
    ranges = {"x": Range(0, 20, means=(10.0,)), "y": Range(-5, 5)}
    made = lower(gemm([[0.753]], [0.3]), ranges, Options(16, rounding=rounding))
    (operation,) = made.operations
    assert isinstance(operation, net.MatrixProduct)
    assert operation.rescale.bias is not None
    assert operation.rescale.bias.tolist() == [bias]


def test_constant_shifts_give_every_tensor_the_inputs_scale() -> None:
    made = lower(gemm([[0.75]], [0.3]), {}, Options(4, shifts="constant"))
    assert made.tensors["y"].scale == 4


def test_a_scale_never_finer_than_the_accumulator() -> None:
    # |w| 100: f = 0, S_acc = 16; a peak of 0.01 would like S_y = 8192
    done = product_of(gemm([[100.0]], [0.0]), 0.01)
    assert int(done.rescale.shift) == 0
    assert done.rescale.bias is None  # no shift, nothing to compensate


def test_weights_become_coarser_where_the_bias_needs_more_than_16_bits() -> None:
    # S_acc = 16 * 2^13 would put the bias at 13 million; 0.01 at f = 3 is still 0
    made = lower(gemm([[0.01]], [100.0]), {"y": Range(-100, 100)}, Options(16))
    (operation,) = made.operations
    assert isinstance(operation, net.MatrixProduct)
    assert operation.rescale.bias is not None
    assert abs(int(operation.rescale.bias[0])) <= 2**15 - 1
    assert made.notes == ()


def test_per_channel_weights_have_shifts_of_their_own() -> None:
    done = product_of(gemm([[0.75, 0.01]], [0.0, 0.0]), 5.0, weights="channel")
    assert done.weight.tolist() == [[96, 82]]  # f = 7 and 13
    assert done.rescale.shift.tolist() == [7, 13]


@pytest.mark.parametrize("scale", [8, 10, 16, 32])
def test_relu6_clips_at_its_code(scale: int) -> None:
    model = gemm([[1.0]], [0.0])
    low, high = (np.array(v, np.float32) for v in (0.0, 6.0))
    model.graph.initializer.append(numpy_helper.from_array(low, "low"))
    model.graph.initializer.append(numpy_helper.from_array(high, "high"))
    model.graph.node[0].output[0] = "a"
    model.graph.node.append(helper.make_node("Clip", ["a", "low", "high"], ["y"]))
    made = lower(model, {"y": Range(0, 6)}, Options(scale))
    (operation,) = made.operations
    assert isinstance(operation, net.MatrixProduct)
    y = made.tensors["y"]
    assert y.scale is not None
    assert (operation.rescale.low, operation.rescale.high) == (0, round(6 * y.scale))
    assert odd_part(y.scale) == odd_part(Fraction(scale))


def test_sums_stay_exact_in_float32() -> None:
    # 20,000 weights of 127 would sum to 2^28; coarser ones, or two layers, must not pass 2^24
    weight = np.full((1, 20_000), 0.99)
    done = quantize_weights(
        weight, None, Tensor("x", (1, 4), Fraction(16)), Fraction(16), Options(16)
    )
    low = int((done.weight & 15).sum()) * 128
    high = int(np.abs(done.weight >> 4).sum()) * 128 + low // 16 + 1
    whole = int(np.abs(done.weight).sum()) * 128
    assert min(whole, max(low, high)) < 2**24


@pytest.mark.parametrize("scale", [3, 10])
def test_odd_scale_is_refused_where_it_meets_another(scale: int) -> None:
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"], name="gate"),
        helper.make_node("Relu", ["s"], ["r"], name="relu"),
        helper.make_node("Add", ["x", "r"], ["y"], name="join"),
    ]
    model = from_x_to_y(nodes, (1, 4), (1, 4), {})
    with pytest.raises(Fault) as caught:
        lower(model, {"y": Range(-1, 1), "r": Range(0, 1)}, Options(scale))
    assert "Add `join` joins scales" in caught.value.what
    assert "power of two" in caught.value.advice
    lower(model, {"y": Range(-1, 1), "r": Range(0, 1)}, Options(8))


def test_operators_without_an_integer_form_are_all_named() -> None:
    nodes = [
        helper.make_node("LSTM", ["x"], ["a"], name="memory"),
        helper.make_node("Sin", ["a"], ["b"], name="wave"),
        helper.make_node("Sin", ["b"], ["y"], name="wave2"),
    ]
    with pytest.raises(Fault, match=r"LSTM \(`memory`\), Sin \(`wave`\)"):
        lower(from_x_to_y(nodes, (1, 4), (1, 4), {}), {}, Options(16))


def test_a_missing_input_scale_is_named() -> None:
    with pytest.raises(Fault, match="input `x` has no input_scale"):
        lower(gemm([[1.0]], [0.0]), {}, Options({"z": 4}))


@pytest.mark.parametrize("count", [4, 6, 49, 1000, 3600])
def test_a_mean_is_within_one_code_of_the_exact_one(count: int) -> None:
    """The multiplier keeps eight bits however many elements there are."""
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[1], keepdims=0)
    made = lower(from_x_to_y([node], (1, count), (1,), {}), {"y": Range(-8, 8)}, Options(16))
    codes = np.random.default_rng(count).integers(-128, 128, (20, count))
    scale = made.tensors["y"].scale
    assert scale is not None
    for row in some(codes):
        acc = int(row.sum())
        for operation in some(made.operations):
            assert isinstance(operation, (net.Reduction, net.Requantize))
            r = operation.rescale
            factor = 1 if r.multiplier is None else int(r.multiplier)
            half = 0 if r.bias is None else int(r.bias)
            assert abs(acc * factor + half) < net.EXACT_LIMIT
            acc = (acc * factor + half) >> int(r.shift)
        exact = Fraction(int(row.sum()), count) * scale / 16
        assert abs(acc - exact) <= Fraction(1, 2) + Fraction(abs(exact), 256) + Fraction(1, 10)
    assert scale == 8


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_code(bad: float) -> None:
    given = np.array([0.5, bad], np.float32)
    with pytest.raises(Fault, match="`image` holds NaN or infinities"):
        reference.quantize(given, Fraction(16), "image")
    assert reference.quantize(given[:1], Fraction(16), "image").tolist() == [8]
