"""cut_postprocessing: where it cuts, and that network and tail are the whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from quant.execution.cut_run import CutRun
from quant.execution.random_inputs import DRAWS, random_inputs
from quant.execution.run import FloatRun
from quant.graph.check import check_graph
from quant.graph.graph import Graph
from quant.graph.types import input_types, output_types
from quant.rewrites.apply import Applied, apply
from quant.rewrites.table import RULES
from tests.graph_builder import Builder
from tests.rewriting import reasons
from tests.test_rewrite_concat import ints
from tests.vacuous import some


def cut(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto | None, Applied]:
    graph = Graph(model)
    applied = apply(RULES["cut_postprocessing"], graph)
    return graph.to_model(), graph.tail, applied


def conv(b: Builder, x: str, after: int = 4, before: int = 4) -> str:
    return b.op("Conv", x, b.weight(after, before, 3, 3), pads=[1] * 4)


def soft(b: Builder, x: str) -> str:
    return b.op("Softmax", b.op("Transpose", x, perm=[0, 2, 3, 1]), axis=-1)


def classifier(b: Builder) -> list[str]:
    x = b.op("Flatten", b.op("GlobalAveragePool", b.op("Relu", conv(b, "x"))))
    return [b.op("Softmax", b.op("Gemm", x, b.weight(4, 3)))]


def two_heads(b: Builder) -> list[str]:
    x = b.op("Relu", conv(b, "x"))
    return [soft(b, conv(b, x)), b.op("Exp", conv(b, x, 2))]


def one_head_twice(b: Builder) -> list[str]:
    x = b.op("LeakyRelu", conv(b, "x"))
    return [b.op("Sigmoid", x), b.op("Mul", b.op("Exp", x), b.weight(4, 1, 1))]


def an_output_stays(b: Builder) -> list[str]:
    x = b.op("Relu", conv(b, "x"))
    return [x, soft(b, conv(b, x))]


def inside_and_read(b: Builder) -> list[str]:
    """The Sigmoid is read by a Conv too, so that it is no tail."""
    x = b.op("Sigmoid", conv(b, "x"))
    return [b.op("Exp", x), conv(b, x)]


def dfl(b: Builder) -> list[str]:
    """YOLOv8's boxes: the mean of a softmax over 16 distances, by a Conv."""
    x = b.op("Reshape", conv(b, "x", 64), ints(b, 1, 4, 16, 30))
    x = b.op("Softmax", b.op("Transpose", x, perm=[0, 2, 1, 3]), axis=1)
    weight = b.constant(np.arange(16).reshape(1, 16, 1, 1))
    return [b.op("Reshape", b.op("Conv", x, weight), ints(b, 1, 4, 30))]


def constants_between(b: Builder) -> list[str]:
    value = onnx.numpy_helper.from_array(np.array([1, 4, 30], np.int64))
    return [b.op("Sin", b.op("Reshape", conv(b, "x"), b.op("Constant", value=value)))]


CUT: dict[str, tuple[Callable[[Builder], list[str]], list[str], list[str]]] = {
    "classifier": (classifier, ["Gemm_4_out"], ["Softmax"]),
    "two heads": (two_heads, ["Conv_2_out", "Conv_5_out"], ["Transpose", "Softmax", "Exp"]),
    "one head": (one_head_twice, ["LeakyRelu_1_out"], ["Sigmoid", "Exp", "Mul"]),
    "output stays": (an_output_stays, ["Relu_1_out", "Conv_2_out"], ["Transpose", "Softmax"]),
    "inside": (inside_and_read, ["Sigmoid_1_out", "Conv_3_out"], ["Exp"]),
    "dfl": (dfl, ["Conv_0_out"], ["Reshape", "Transpose", "Softmax", "Conv", "Reshape"]),
    "constants": (constants_between, ["Conv_0_out"], ["Constant", "Reshape", "Sin"]),
}


@pytest.mark.parametrize("name", CUT)
def test_network_and_tail_are_the_whole(name: str) -> None:
    make, heads, operators = CUT[name]
    b = Builder(0)
    model = b.model({"x": (1, 4, 5, 6)}, make(b))
    network, tail, applied = cut(model)
    assert tail is not None
    for part in (network, tail):
        check_graph(part, full=True)
    assert list(output_types(network)) == heads
    assert set(input_types(tail)) <= set(heads)
    assert [node.op_type for node in tail.graph.node] == operators
    assert [fired.nodes[0] for fired in applied.fired] == [tail.graph.node[0].name]
    assert applied.refused == ()
    whole, parts = FloatRun(model), CutRun(network, tail)
    for draw in some(range(DRAWS)):
        inputs = random_inputs(input_types(model), draw)
        expected, actual = whole(inputs), parts(inputs)
        assert all(expected[one].tobytes() == actual[one].tobytes() for one in some(expected))
    weights = [len(part.graph.initializer) for part in (network, tail, model)]
    assert weights[0] + weights[1] == weights[2]


def ends_with_conv(b: Builder) -> list[str]:
    return [b.op("Relu", conv(b, "x"))]


def ends_with_shapes(b: Builder) -> list[str]:
    return [b.op("Flatten", conv(b, "x"))]


@pytest.mark.parametrize("make", [ends_with_conv, ends_with_shapes])
def test_without_postprocessing_nothing_is_cut(make: Callable[[Builder], list[str]]) -> None:
    b = Builder(1)
    model = b.model({"x": (1, 4, 5, 6)}, make(b))
    network, tail, applied = cut(model)
    assert (tail, applied.fired, applied.refused) == (None, (), ())
    assert list(network.graph.node) == list(model.graph.node)


def test_a_tail_that_reads_the_input_stays() -> None:
    b = Builder(2)
    model = b.model({"x": (1, 4, 5, 6)}, [b.op("Mul", "x", b.op("Sigmoid", conv(b, "x")))])
    network, tail, applied = cut(model)
    assert tail is None
    assert reasons(applied) == [("Mul_2", "it reads the network's input `x`")]
    assert list(network.graph.node) == list(model.graph.node)
