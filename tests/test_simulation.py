"""Our simulation is the SDK's, bit for bit; what it does not know it says."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from quant.simulation import step1, weights
from quant.simulation.network import Network
from quant.simulation.parameters import Parameters
from quant.simulation.step1 import Step1
from quant.simulation.unknown import Unknown
from tests.graph_builder import parsed
from tests.sdk_check import run_check
from tests.vacuous import some

GRAPHS = int(os.environ.get("NPUMAKE_SIMULATED_GRAPHS", "24"))


@pytest.mark.toolchain
@pytest.mark.parametrize("version", ["2.5.0", "2.3.2"])
def test_every_tensor_is_the_sdk_s(version: str, tmp_path: Path) -> None:
    """Random networks for three platforms: float, quantized and outputs, no element differs."""
    count = GRAPHS if version == "2.5.0" else GRAPHS // 4
    found = run_check(f"rknn-{version}", "tests.simulation_check", count, tmp_path)
    assert len(found) == count
    for one in found:
        assert (one.get("failed"), one.get("unknown"), one["where"]) == (None, None, []), one
        assert (one["outputs"], one["float"], one["quantized"]) == (0, 0, 0), one
        assert one["elements"] > 1000


def exactly(weight: float, step: Fraction, zero: int) -> Fraction:
    """(clip(round(w / s) + z) - z) s in rational numbers; ties to even."""
    return (min(127, max(-128, round(Fraction(weight) / step) + zero)) - zero) * step


def test_weights_are_rounded_as_in_rational_numbers() -> None:
    values = np.random.default_rng(3).normal(0, 1, (6, 4, 3, 3)).astype(np.float32)
    values[1] = np.abs(values[1])
    values[2] = 0
    found = weights.rounded(values, 0)
    for channel, (given, made) in some(enumerate(zip(values, found, strict=True))):
        low, high = min(0.0, float(given.min())), max(0.0, float(given.max()))
        exact = Fraction((high - low) / 255) or Fraction(1)
        zero = max(-128, min(127, round(-128 - Fraction(low) / exact)))
        step = Fraction(float(np.float32(float(exact))))
        for one, other in zip(given.ravel(), made.ravel(), strict=True):
            assert float(other) == pytest.approx(float(exactly(float(one), step, zero)), rel=1.2e-7)
        assert (channel == 2) == (not made.any())


def test_a_bias_without_weights_keeps_its_value() -> None:
    found = weights.rounded_bias(np.array([0.3, 0.3], np.float32), 0.5, np.array([0.0, 0.5]))
    assert found.tolist() == pytest.approx([np.float32(0.3), 0.25])


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.25, 0.0), (0.75, 1.0), (0.76, 1.0), (-64.3, -64.0), (-70, -64.0), (63.9, 63.5)],
)
def test_ties_go_to_even_and_the_grid_ends(value: float, expected: float) -> None:
    assert Parameters("int8", 0.5, 0).rounded(np.array([value], np.float32)) == expected


def test_float16_overflows() -> None:
    values = np.array([1e6, 0.1], np.float32)
    assert Parameters("float16").rounded(values).tolist() == [np.inf, float(np.float16(0.1))]


def held(text: str, **parameters: Parameters) -> Step1:
    return Step1(parsed(text), parameters, "rk3588")


@pytest.mark.parametrize(
    ("text", "parameters", "reason"),
    [
        ("g (float[1,8] x) => (float[1,8] y) { y = exLSTM (x) }", {}, "the operator exLSTM"),
        ("g (float[1,8] x) => (float[1,8] y) { y = Relu (x) }", {"y": "int16"}, "`y` is int16"),
    ],
)
def test_what_is_not_known_is_named(text: str, parameters: dict[str, str], reason: str) -> None:
    given = {name: Parameters(dtype, 0.1) for name, dtype in parameters.items()}
    with pytest.raises(Unknown, match=f"^{reason}$"):
        Network(held(text, **given))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"quantized_algorithm": "mmse"}, "`quantized_algorithm: mmse`"),
        ({"quantized_method": "group32"}, "`quantized_method: group32`"),
        ({"quantized_dtype": "w8a16"}, "`quantized_dtype: w8a16`"),
    ],
)
def test_options_that_are_not_known_are_named(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unknown, match=f"^{reason}$"):
        step1.read(Path("a.model"), Path("a.cfg"), options)


def test_no_tensor_is_kept_longer_than_it_is_read() -> None:
    """Memory is that of the widest place, not of the depth: a chain keeps two tensors at most."""
    nodes = [helper.make_node("exSoftmax13", [f"t{i}"], [f"t{i + 1}"], axis=1) for i in range(20)]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("t0", 1, [1, 8])], [value("t20", 1, [1, 8])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)])
    run = Network(Step1(model, {}, "rk3588"))
    assert isinstance(model, onnx.ModelProto)
    over = run.schedule([("entire:t20",)])._over
    assert [len(names) for names in over] == [1] * 19 + [2]  # the last one is the output
