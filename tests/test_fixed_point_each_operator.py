"""Each operator that is lowered, alone: the float network's numbers, and none without a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.backends.fixed_point.jobs.files import prove
from quant.execution.run import FloatRun
from quant.fixed_point.calibration.ranges import observe
from quant.fixed_point.lower import lower
from quant.fixed_point.network import network as net
from quant.fixed_point.network.options import Options
from quant.fixed_point.network.reference import COMPUTE
from quant.fixed_point.onnx.operations import EMITTERS
from quant.fixed_point.operators import LOWERINGS
from quant.fixed_point.operators.activation import CURVES, UNIT_CURVES
from quant.fixed_point.tflite.operations import EMITTERS as TFLITE_EMITTERS
from tests.graph_builder import parsed
from tests.integer_networks import STEPS, one_step
from tests.random_graphs import random_graph
from tests.test_fixed_point_operators import Arrays, files, real, whole
from tests.vacuous import some

INPUT_SCALE = 16
LEAST = {"Log": 1, "Reciprocal": 16, "Sqrt": 1}  # code; of the others -128
OPSETS = {"Gelu": 20}

# Operator -> a graph of it that moves numbers alone, and constants
MOVES: Mapping[str, tuple[str, Arrays]] = {
    "DepthToSpace": (
        "(float[1,8,2,3] x) => (float[1,2,4,6] y) { y=DepthToSpace<blocksize=2>(x) }",
        {},
    ),
    "Dropout": ("(float[1,8] x) => (float[1,8] y) { y=Dropout(x) }", {}),
    "GlobalMaxPool": ("(float[1,3,4,5] x) => (float[1,3,1,1] y) { y=GlobalMaxPool(x) }", {}),
    "Identity": ("(float[1,8] x) => (float[1,8] y) { y=Identity(x) }", {}),
    "Split": (
        "(float[1,8] x) => (float[1,3] y, float[1,5] z) { y,z=Split<axis=1>(x,n) }",
        {"n": whole(3, 5)},
    ),
    "Squeeze": ("(float[1,8,1] x) => (float[1,8] y) { y=Squeeze(x,a) }", {"a": whole(2)}),
    "Unsqueeze": ("(float[1,8] x) => (float[1,8,1] y) { y=Unsqueeze(x,a) }", {"a": whole(2)}),
}


def on_the_grid(*shape: int) -> NDArray[np.float32]:
    """Numbers that the input's codes hold exactly."""
    codes = np.random.default_rng(0).integers(-127, 128, shape)
    return (codes / INPUT_SCALE).astype(np.float32)


@pytest.mark.parametrize("kind", sorted({*CURVES, *UNIT_CURVES, "Relu", "Sigmoid"}))
def test_a_curve_is_rounded_once(kind: str) -> None:
    """Of every code of the input the code that is nearest to the float network's number."""
    codes = np.arange(LEAST.get(kind, -128), 128)
    x = (codes / INPUT_SCALE).astype(np.float32)[None]
    slope, given = ("x, s", {"s": real(0.2)}) if kind == "PRelu" else ("x", {})
    text = f"g (float[1,{x.size}] x) => (float[1,{x.size}] y) {{ y={kind}({slope}) }}"
    model = parsed(text, given, OPSETS.get(kind, 15))
    network = lower(model, observe(model, [{"x": x}]), Options(INPUT_SCALE))
    scale = network.tensors[network.outputs[0].tensor].scale
    assert scale is not None
    made = files(model, [{"x": x}])
    assert prove(made, [{"x": x}])
    expected = FloatRun(model)({"x": x})["y"].astype(np.float64) * float(scale)
    assert 64 <= np.abs(expected).max() <= 128
    found = FloatRun(made.model())({"x": x})["y"].astype(np.float64) * float(scale)
    assert np.abs(found - expected.clip(-128, 127)).max() <= 0.5 + 2**-16


@pytest.mark.parametrize("kind", MOVES)
def test_what_only_moves_numbers_changes_none(kind: str) -> None:
    text, constants = MOVES[kind]
    model = parsed(f"g {text}", constants)
    shape = [one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim]
    sample: dict[str, NDArray[Any]] = {"x": on_the_grid(*shape)}
    made = files(model, [sample])
    assert made.tflite_file is not None
    assert prove(made, [sample])
    found = FloatRun(made.model())(sample)
    for name, expected in some(FloatRun(model)(sample).items()):
        np.testing.assert_array_equal(found[name], expected)


def test_every_operator_has_a_test_of_its_own_or_is_in_the_random_graphs() -> None:
    drawn = {node.op_type for seed in range(100) for node in random_graph(seed).graph.node}
    rare = {"Cast", "Gather", "Upsample"}  # tests/test_fixed_point_operators.py
    curves = {*CURVES, *UNIT_CURVES, "Relu", "Sigmoid"}
    assert drawn | rare | curves | MOVES.keys() == LOWERINGS.keys()


def test_every_operation_is_written_to_both_files() -> None:
    operations = set(get_args(net.Operation))
    assert EMITTERS.keys() == operations
    assert TFLITE_EMITTERS.keys() == operations


def test_every_operation_is_run_by_the_reference() -> None:
    """The two files are held to it. Two need more than integers, and stand before its table."""
    assert COMPUTE.keys() == set(get_args(net.Operation)) - {net.FloatNode, net.Reshape}


def test_every_operation_is_in_the_random_networks() -> None:
    """But for what is left in float, which no TFLite file holds."""
    made = {type(one) for kind in STEPS for one in one_step(kind, 0)[0].operations}
    assert made == set(get_args(net.Operation)) - {net.FloatNode}
