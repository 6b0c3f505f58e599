"""Graphs made ready for lowering: what is folded, what stays, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from quant.execution.compare import differences
from quant.execution.run import FloatRun, run_random
from quant.fixed_point.calibration.ranges import data_free_samples, observe
from quant.fixed_point.lower import lower
from quant.fixed_point.network import reference
from quant.fixed_point.network.options import Options
from quant.fixed_point.prepare import prepare
from quant.graph.check import check_graph
from quant.graph.operators import operator_counts
from quant.graph.types import output_types
from tests.graph_builder import Array, Builder
from tests.random_graphs import random_graph

IMAGE, ROW = (1, 6, 8, 8), (1, 12)
Make = Callable[[Builder], str]


def conv(b: Builder, x: str, **attributes: Any) -> str:
    return b.op("Conv", x, b.weight(4, 6, 3, 3), b.weight(4), **attributes)


def gemm(b: Builder, x: str, **attributes: Any) -> str:
    return b.op("Gemm", x, b.weight(12, 5), b.weight(5), **attributes)


def matmul(b: Builder, x: str) -> str:
    return b.op("MatMul", x, b.weight(12, 5))


def whole(b: Builder, *numbers: int) -> str:
    """A Constant node of int64."""
    return b.op("Constant", value_ints=list(numbers))


def codes(b: Builder, *shape: int) -> str:
    """An int8 weight."""
    name = b.constant(0)
    b.weights[name] = b.random.integers(-128, 128, shape, np.int8)
    return name


def shape_chain(b: Builder) -> str:
    """Flatten as exporters write it for inputs of any size."""
    x = conv(b, "x")
    first = b.op("Gather", b.op("Shape", x), b.op("Constant", value_int=0), axis=0)
    first = b.op("Unsqueeze", first, whole(b, 0))
    return b.op("Reshape", x, b.op("Concat", first, whole(b, -1), axis=0))


def hard_swish(b: Builder, outer: bool, divides: bool) -> str:
    x = conv(b, "x")
    sixth = ("Div", b.constant(6)) if divides else ("Mul", b.constant(1 / 6))
    clip = b.op("Clip", b.op("Add", b.constant(3), x), b.constant(0), b.constant(6))
    if outer:
        return b.op(sixth[0], b.op("Mul", x, clip), sixth[1])
    return b.op("Mul", b.op(sixth[0], clip, sixth[1]), x)


def norm_of_several(b: Builder) -> str:
    x = b.batch_norm("x", 12)
    return b.op("Add", gemm(b, x), b.op("Gemm", x, b.weight(5, 12), transB=1))


def doubled_clip(b: Builder, *bounds: tuple[float | None, float | None]) -> str:
    x = conv(b, "x")
    for low, high in bounds:
        inputs = ["" if bound is None else b.constant(bound) for bound in (low, high)]
        x = b.op("Clip", x, *inputs)
    return x


def bounded(b: Builder, first: str, second: str, *bounds: float) -> str:
    x = b.op(first, conv(b, "x"), b.constant([bounds[0]]))
    return b.op(second, b.constant(bounds[1]), x)


def squeezed(b: Builder) -> str:
    x = b.op("Reshape", conv(b, "x", strides=[8, 8]), whole(b, 1, 2, 2))
    x = b.op("Unsqueeze", x, whole(b, 0))
    return b.op("Relu", b.op("Flatten", x))


def turned(b: Builder, *perms: list[int]) -> str:
    x = conv(b, "x")
    for perm in perms:
        x = b.op("Transpose", x, perm=perm)
    return b.op("Relu", x)


def channel_steps(b: Builder, layer: str, rank: int) -> str:
    """What is left of a BatchNormalization that a converter took apart, and more."""
    x = layer
    channels = 4 if rank == 4 else 5
    shape = (channels, 1, 1) if rank == 4 else (channels,)
    x = b.op("Sub", x, b.weight(1, *shape))
    x = b.op("Mul", b.weight(*shape), x)
    x = b.op("Div", x, b.constant(3))
    x = b.op("Add", x, b.weight(*shape))
    return b.op("Relu", b.op("Sub", b.weight(*shape), x))


# name -> input's shape, graph, operators that are left
CASES: dict[str, tuple[tuple[int, ...], Make, dict[str, int]]] = {
    "constant nodes": (
        IMAGE,
        lambda b: b.op("Mul", "x", b.op("Constant", value_float=3.0)),
        {"Mul": 1},
    ),
    "shape chain": (IMAGE, shape_chain, {"Conv": 1, "Reshape": 1}),
    "weight computed from constants": (
        IMAGE,
        lambda b: b.op("Conv", "x", b.op("Transpose", b.weight(3, 3, 6, 4), perm=[3, 2, 0, 1])),
        {"Conv": 1},
    ),
    "quantized weight": (
        ROW,
        lambda b: b.op("MatMul", "x", b.op("DequantizeLinear", codes(b, 12, 5), b.constant(0.5))),
        {"Gemm": 1},
    ),
    "identity, dropout": (
        IMAGE,
        lambda b: b.op("Relu", b.op("Dropout", b.op("Identity", conv(b, "x")))),
        {"Conv": 1, "Relu": 1},
    ),
    "identity between layer and norm": (
        IMAGE,
        lambda b: b.batch_norm(b.op("Identity", conv(b, "x")), 4),
        {"Conv": 1},
    ),
    "identity as output stays": (
        IMAGE,
        lambda b: b.op("Identity", conv(b, "x")),
        {"Conv": 1, "Identity": 1},
    ),
    "reshapes": (IMAGE, squeezed, {"Conv": 1, "Relu": 1, "Reshape": 1}),
    "transposes that cancel": (
        IMAGE,
        lambda b: turned(b, [0, 2, 3, 1], [0, 3, 1, 2]),
        {"Conv": 1, "Relu": 1},
    ),
    "transposes that do not": (
        IMAGE,
        lambda b: turned(b, [0, 2, 3, 1], [0, 2, 3, 1]),
        {"Conv": 1, "Relu": 1, "Transpose": 1},
    ),
    "max, min": (IMAGE, lambda b: bounded(b, "Max", "Min", 0, 1), {"Conv": 1, "Clip": 1}),
    "min, max": (IMAGE, lambda b: bounded(b, "Min", "Max", 2, -1), {"Conv": 1, "Clip": 1}),
    "max alone": (
        IMAGE,
        lambda b: b.op("Max", conv(b, "x"), b.constant(0)),
        {"Conv": 1, "Relu": 1},
    ),
    "bounds that cross": (
        IMAGE,
        lambda b: doubled_clip(b, (-1, 0.5), (0.75, 2)),
        {"Conv": 1, "Clip": 1},
    ),
    "clips": (
        IMAGE,
        lambda b: doubled_clip(b, (0, None), (None, 6), (-1, 1.5)),
        {"Conv": 1, "Clip": 1},
    ),
    "clip without an upper bound": (
        IMAGE,
        lambda b: doubled_clip(b, (0, 3e38)),
        {"Conv": 1, "Relu": 1},
    ),
    "hard swish": (
        IMAGE,
        lambda b: hard_swish(b, outer=True, divides=True),
        {"Conv": 1, "HardSigmoid": 1, "Mul": 1},
    ),
    "hard sigmoid": (
        IMAGE,
        lambda b: hard_swish(b, outer=False, divides=False),
        {"Conv": 1, "HardSigmoid": 1, "Mul": 1},
    ),
    "matmul": (ROW, lambda b: b.op("Add", b.weight(1, 5), matmul(b, "x")), {"Gemm": 1}),
    "matmul, relu": (ROW, lambda b: b.op("Relu", matmul(b, "x")), {"Gemm": 1, "Relu": 1}),
    "matmul of three axes": (
        (1, 3, 12),
        lambda b: b.op("Add", matmul(b, "x"), b.weight(5)),
        {"Add": 1, "MatMul": 1},
    ),
    "matmul, a bias a row": (
        (3, 12),
        lambda b: b.op("Add", matmul(b, "x"), b.weight(3, 1)),
        {"Add": 1, "Gemm": 1},
    ),
    "gemm with alpha and beta": (
        ROW,
        lambda b: b.batch_norm(gemm(b, "x", alpha=0.5, beta=3.0), 5),
        {"Gemm": 1},
    ),
    "gemm, norm": (ROW, lambda b: b.batch_norm(gemm(b, "x"), 5), {"Gemm": 1}),
    "matmul, add, norm": (
        ROW,
        lambda b: b.batch_norm(b.op("Add", matmul(b, "x"), b.weight(5)), 5),
        {"Gemm": 1},
    ),
    "norm, gemms": (ROW, norm_of_several, {"Add": 1, "Gemm": 2}),
    "conv, norm": (IMAGE, lambda b: b.batch_norm(conv(b, "x"), 4), {"Conv": 1}),
    "norm, conv": (IMAGE, lambda b: conv(b, b.batch_norm("x", 6)), {"Conv": 1}),
    "conv, arithmetic": (
        IMAGE,
        lambda b: channel_steps(b, conv(b, "x"), 4),
        {"Conv": 1, "Relu": 1},
    ),
    "gemm, arithmetic": (
        ROW,
        lambda b: channel_steps(b, gemm(b, "x"), 2),
        {"Gemm": 1, "Relu": 1},
    ),
    # What can't be folded stays, and is right
    "norm, padding conv": (
        IMAGE,
        lambda b: conv(b, b.batch_norm("x", 6), pads=[1] * 4),
        {"BatchNormalization": 1, "Conv": 1},
    ),
    "conv, activation, norm": (
        IMAGE,
        lambda b: b.batch_norm(b.op("Relu", conv(b, "x")), 4),
        {"BatchNormalization": 1, "Conv": 1, "Relu": 1},
    ),
    "norm, activation, conv": (
        IMAGE,
        lambda b: conv(b, b.op("Relu", b.batch_norm("x", 6))),
        {"BatchNormalization": 1, "Conv": 1, "Relu": 1},
    ),
    "conv, a constant a pixel": (
        IMAGE,
        lambda b: b.op("Add", conv(b, "x"), b.weight(4, 6, 6)),
        {"Add": 1, "Conv": 1},
    ),
    "swish": (
        IMAGE,
        lambda b: b.op("Mul", (x := conv(b, "x")), b.op("Sigmoid", x)),
        {"Conv": 1, "Mul": 1, "Sigmoid": 1},
    ),
}


def build(make: Make, shape: tuple[int, ...]) -> onnx.ModelProto:
    b = Builder(seed=3)
    return b.model({"x": shape}, [make(b)])


def require_equal(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    """Valid, of the same outputs, within float32's rounding of a few layers."""
    check_graph(after, full=True)
    assert output_types(after) == output_types(before)
    assert max(differences(run_random(before), run_random(after)).values()) < 1e-5


@pytest.mark.parametrize("name", CASES)
def test_what_is_left(name: str) -> None:
    shape, make, left = CASES[name]
    before = build(make, shape)
    given = before.SerializeToString()
    after = prepare(before)
    assert before.SerializeToString() == given
    require_equal(before, after)
    assert operator_counts(after) == left


@pytest.mark.parametrize("name", [n for n in CASES if n != "constant nodes"])
def test_what_is_left_is_lowered(name: str) -> None:
    """Every form has an integer one with near numbers, conv + activation + norm and such too."""
    shape, make, _ = CASES[name]
    before = build(make, shape)
    prepared = prepare(before)
    samples = list(data_free_samples(prepared, 8))
    network = lower(prepared, observe(prepared, samples), Options(32))
    (output,) = network.outputs
    scale = network.tensors[output.tensor].scale
    assert scale is not None
    real, whole = [], []
    for sample in samples:
        real.append(FloatRun(before)(sample)[output.name].reshape(-1))
        whole.append(reference.run(network, sample)[output.tensor].reshape(-1) / float(scale))
    assert cosine(np.array(real), np.array(whole)) > 0.999


def cosine(one: Array, other: Array) -> float:
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))


def test_clips_of_old_opsets_hold_their_bounds_as_attributes() -> None:
    b = Builder(seed=3)
    y = b.op("Clip", b.op("Clip", conv(b, "x"), min=0.0), max=0.5)
    before = b.model({"x": IMAGE}, [y], opset=10)
    after = prepare(before)
    require_equal(before, after)
    assert operator_counts(after) == {"Clip": 1, "Conv": 1}


def test_a_tensor_that_others_need_stays() -> None:
    """Outputs, and what a second node reads, are neither renamed nor folded away."""
    b = Builder(seed=3)
    x = conv(b, "x")
    same = b.op("Identity", x)
    low = b.op("Clip", same, b.constant(0), b.constant(1))
    y = b.op("Clip", low, b.constant(0), b.constant(0.5))
    norm = b.batch_norm(same, 4)
    before = b.model({"x": IMAGE}, [low, y, norm, x])
    after = prepare(before)
    require_equal(before, after)
    assert operator_counts(after) == {"BatchNormalization": 1, "Clip": 2, "Conv": 1}


def test_what_a_branch_reads_from_outside_stays() -> None:
    """The graphs inside an If read the main graph's tensors by name."""
    value = helper.make_tensor_value_info("inner", onnx.TensorProto.FLOAT, IMAGE)
    then = helper.make_graph([helper.make_node("Relu", ["same"], ["inner"])], "then", [], [value])
    other = helper.make_graph([helper.make_node("Neg", ["same"], ["inner"])], "else", [], [value])
    b = Builder(seed=3)
    b.nodes.append(helper.make_node("Identity", ["x"], ["same"]))
    b.weights["condition"] = np.array(True)
    y = b.op("If", "condition", then_branch=then, else_branch=other)
    before = b.model({"x": IMAGE}, [y])
    require_equal(before, prepare(before))


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_stay_what_they_are(seed: int) -> None:
    before = random_graph(seed)
    after = prepare(before)
    require_equal(before, after)
    assert operator_counts(prepare(after)) == operator_counts(after)
