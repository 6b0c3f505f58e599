"""The rewrite rules: what they fold, what they refuse and why, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from quant.execution.compare import differences
from quant.execution.run import run_random
from quant.graph.check import check_graph
from quant.graph.graph import Graph
from quant.graph.operators import operator_counts
from quant.graph.types import input_types, output_types
from quant.rewrites import document
from quant.rewrites.apply import Applied, apply
from quant.rewrites.table import RULES
from tests.conftest import ROOT
from tests.graph_builder import Array, Builder
from tests.rewriting import require_own_operators

IMAGE = (1, 6, 9, 8)


def floats(*values: float) -> Array:
    return np.array(values, np.float32)


def fold(model: onnx.ModelProto) -> tuple[onnx.ModelProto, Applied]:
    require_own_operators(RULES["fold_batch_norm"], model)
    graph = Graph(model)
    applied = apply(RULES["fold_batch_norm"], graph)
    return graph.to_model(), applied


def conv(
    b: Builder, x: str, outputs: int, inputs: int, bias: bool = True, **attributes: Any
) -> str:
    groups = attributes.get("group", 1)
    kernel = attributes.pop("kernel", (3, 3))
    weights = [b.weight(outputs, inputs // groups, *kernel)] + [b.weight(outputs)] * bias
    return b.op("Conv", x, *weights, **attributes)


def conv_transpose(b: Builder, x: str, outputs: int, inputs: int, bias: bool, **attr: Any) -> str:
    weights = [b.weight(inputs, outputs // attr.get("group", 1), 3, 2)] + [b.weight(outputs)] * bias
    return b.op("ConvTranspose", x, *weights, **attr)


def conv_norm(**attributes: Any) -> Callable[[Builder], str]:
    return lambda b: b.batch_norm(conv(b, "x", 4, 6, **attributes), 4)


def norm_conv(**attributes: Any) -> Callable[[Builder], str]:
    return lambda b: conv(b, b.batch_norm("x", 6), 4, 6, **attributes)


def transposed(outputs: int = 4, **attributes: Any) -> Callable[[Builder], str]:
    return lambda b: b.batch_norm(conv_transpose(b, "x", outputs, 6, **attributes), outputs)


def gemm(bias: tuple[int, ...] | None, trans_b: int, **attributes: Any) -> Callable[[Builder], str]:
    def make(b: Builder) -> str:
        flat = b.op("Flatten", "x", axis=3)  # [54, 8]
        weight = b.weight(5, 8) if trans_b else b.weight(8, 5)
        biases = [] if bias is None else [b.weight(*bias)]
        return b.batch_norm(b.op("Gemm", flat, weight, *biases, transB=trans_b, **attributes), 5)

    return make


def two_in_a_row(b: Builder) -> str:
    return b.batch_norm(b.batch_norm(conv(b, "x", 4, 6), 4), 4)


def norm_conv_norm(b: Builder) -> str:
    return b.batch_norm(conv(b, b.batch_norm("x", 6), 4, 6), 4)


def conv_norm_conv(b: Builder) -> str:
    return conv(b, b.batch_norm(conv(b, "x", 6, 6), 6), 4, 6, pads=[1, 1, 1, 1])


def shared_weight(b: Builder) -> str:
    weight = b.weight(4, 6, 1, 1)
    one, two = b.op("Conv", "x", weight), b.op("Conv", "x", weight)
    return b.op("Add", b.batch_norm(one, 4), b.batch_norm(two, 4))


def zero_shift(b: Builder) -> str:
    zeros = b.constant(np.zeros(6))
    norm = b.op("BatchNormalization", "x", b.weight(6), zeros, zeros, b.weight(6, low=0.1))
    return conv(b, norm, 4, 6, pads=[1, 1, 1, 1])


def constant_nodes(b: Builder) -> str:
    value = numpy_helper.from_array(b.random.uniform(-1, 1, (4, 6, 1, 1)).astype(b.dtype))
    return b.batch_norm(b.op("Conv", "x", b.op("Constant", value=value)), 4)


FOLDED: dict[str, Callable[[Builder], str]] = {
    "conv": conv_norm(),
    "conv without bias": conv_norm(bias=False),
    "conv padded": conv_norm(pads=[1, 2, 0, 1], strides=[2, 1], dilations=[1, 2]),
    "conv grouped": conv_norm(group=2),
    "conv same": conv_norm(auto_pad="SAME_UPPER"),
    "conv transpose": transposed(bias=True, strides=[2, 2], pads=[1, 0, 1, 0]),
    "conv transpose without bias": transposed(bias=False, output_padding=[1, 0], strides=[2, 2]),
    "conv transpose grouped": transposed(bias=True, group=3, outputs=9),
    "gemm": gemm((5,), 0),
    "gemm transB": gemm((5,), 1, alpha=0.5, beta=2.0),
    "gemm without bias": gemm(None, 1, alpha=3.0),
    "gemm beta 0": gemm((5,), 0, beta=0.0),
    "gemm bias of rows": gemm((54, 1), 0, beta=0.25),
    "gemm bias of one": gemm((1,), 1),
    "gemm bias of all": gemm((54, 5), 1),
    "gemm bias scalar": gemm((), 0),
    "before conv": norm_conv(),
    "before conv without bias": norm_conv(bias=False),
    "before conv grouped": norm_conv(group=2, strides=[2, 2]),
    "before depthwise conv": lambda b: conv(b, b.batch_norm("x", 6), 6, 6, group=6),
    "before conv valid": norm_conv(auto_pad="VALID"),
    "before 1x1 conv same": norm_conv(auto_pad="SAME_LOWER", kernel=(1, 1)),
    "before padded conv, shift zero": zero_shift,
    "two in a row": two_in_a_row,
    "before and after": norm_conv_norm,
    "between, after padded": conv_norm_conv,
    "shared weight": shared_weight,
    "weight of a Constant node": constant_nodes,
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", FOLDED)
def test_folds_every_batch_norm(name: str, seed: int) -> None:
    b = Builder(seed)
    last = FOLDED[name](b)
    model = b.model({"x": IMAGE}, [last])
    folded, applied = fold(model)
    check_graph(folded, full=True)
    norms = operator_counts(model)["BatchNormalization"]
    assert "BatchNormalization" not in operator_counts(folded)
    assert (len(applied.fired), applied.refused) == (norms, ())
    assert output_types(folded) == output_types(model)
    # Sums of at most 6 * 9 products twice, float32: 108 * 2^-24 of the magnitudes, which the scale
    # (at most 1 / sqrt(0.1)) can leave larger than the result's by cancellation.
    found = differences(run_random(model), run_random(folded))
    assert max(found.values()) < 108 * 2**-24 * 4


def test_weights_are_the_exact_ones_rounded_once() -> None:
    """Against fractions: W' = W a and bias' = (bias - mean) a + beta."""
    weight, bias = floats(0.1, -0.3), floats(0.7, -0.2)
    gamma, beta = floats(1.1, 0.9), floats(0.01, -0.02)
    mean, variance = floats(0.5, -0.25), floats(0.75, 3.75)
    b = Builder(0)
    made = b.op("Conv", "x", b.constant(weight.reshape(2, 1, 1, 1)), b.constant(bias))
    values = [b.constant(v) for v in (gamma, beta, mean, variance)]
    norm = b.op("BatchNormalization", made, *values, epsilon=0.25)
    folded, _ = fold(b.model({"x": (1, 1, 4, 4)}, [norm]))
    held = {t.name: numpy_helper.to_array(t) for t in folded.graph.initializer}
    for channel, root in enumerate((1, 2)):  # of variance + epsilon
        w, c, g, s, m = (
            Fraction(float(array[channel])) for array in (weight, bias, gamma, beta, mean)
        )
        assert held[f"{norm}.weight"].ravel()[channel] == np.float32(float(w * g / root))
        assert held[f"{norm}.bias"][channel] == np.float32(float((c - m) * g / root + s))


def test_float16_stays_float16() -> None:
    b = Builder(1, "float16")
    norm = b.batch_norm(conv(b, "x", 4, 6), 4)
    model = b.model({"x": IMAGE}, [norm])
    folded, _ = fold(model)
    assert {t.data_type for t in folded.graph.initializer} == {onnx.TensorProto.FLOAT16}
    # Each of 54 products and its weight are off by 2^-11 at most, and the scale is at most 3.2.
    found = differences(run_random(model), run_random(folded))
    assert max(found.values()) < 54 * 2**-11


def relu_between(b: Builder) -> list[str]:
    return [b.batch_norm(b.op("Relu", conv(b, "x", 4, 6)), 4)]


def second_consumer(b: Builder) -> list[str]:
    made = conv(b, "x", 4, 6)
    return [b.batch_norm(made, 4), b.op("Sigmoid", made)]


def conv_is_output(b: Builder) -> list[str]:
    made = conv(b, "x", 4, 6)
    return [b.batch_norm(made, 4), made]


def padded_consumer(b: Builder) -> list[str]:
    return [conv(b, b.batch_norm("x", 6), 4, 6, pads=[0, 0, 1, 0])]


def same_padded_consumer(b: Builder) -> list[str]:
    return [conv(b, b.batch_norm("x", 6), 4, 6, auto_pad="SAME_UPPER")]


def several_readers(b: Builder) -> list[str]:
    norm = b.batch_norm("x", 6)
    return [conv(b, norm, 4, 6), b.op("Relu", norm)]


def norm_is_output(b: Builder) -> list[str]:
    norm = b.batch_norm("x", 6)
    return [conv(b, norm, 4, 6), norm]


def weight_computed(b: Builder) -> list[str]:
    return [b.batch_norm(b.op("Conv", "x", b.op("Relu", b.weight(4, 6, 1, 1))), 4)]


def bias_computed(b: Builder) -> list[str]:
    made = b.op("Conv", "x", b.weight(4, 6, 1, 1), b.op("Relu", b.weight(4)))
    return [b.batch_norm(made, 4)]


def statistics_computed(b: Builder) -> list[str]:
    given = [b.weight(4), b.weight(4), b.op("Relu", b.weight(4)), b.weight(4, low=0.1)]
    return [b.op("BatchNormalization", conv(b, "x", 4, 6), *given)]


def negative_variance(b: Builder) -> list[str]:
    given = [b.weight(4), b.weight(4), b.weight(4), b.constant([1, 1, -1, 1])]
    return [b.op("BatchNormalization", conv(b, "x", 4, 6), *given)]


def overflow(b: Builder) -> list[str]:
    given = [b.constant(np.full(4, 3e38)), b.weight(4), b.weight(4), b.constant(np.full(4, 1e-8))]
    return [b.op("BatchNormalization", conv(b, "x", 4, 6), *given, epsilon=0.0)]


REFUSED: dict[str, tuple[Callable[[Builder], list[str]], list[tuple[str, str]]]] = {
    "alone": (
        lambda b: [b.batch_norm("x", 6)],
        [("BatchNormalization_0", "its input is no node's output")],
    ),
    "relu between": (
        relu_between,
        [("Relu_1", "its input comes from a Relu, not from Conv, ConvTranspose or Gemm")],
    ),
    "second consumer": (second_consumer, [("Sigmoid_2", "another Sigmoid reads the Conv")]),
    "conv is an output": (
        conv_is_output,
        [("Conv_0", "the output of the Conv is an output of the graph")],
    ),
    "before padded conv": (
        padded_consumer,
        [
            ("BatchNormalization_0", "its input is no node's output"),
            ("Conv_1", "the Conv pads with zeros, which the shift would have to reach"),
        ],
    ),
    "before conv padded by SAME": (
        same_padded_consumer,
        [
            ("BatchNormalization_0", "its input is no node's output"),
            ("Conv_1", "the Conv pads with zeros, which the shift would have to reach"),
        ],
    ),
    "several readers": (
        several_readers,
        [
            ("BatchNormalization_0", "its input is no node's output"),
            ("BatchNormalization_0", "several nodes read it"),
        ],
    ),
    "norm is an output": (
        norm_is_output,
        [
            ("BatchNormalization_0", "its input is no node's output"),
            ("BatchNormalization_0", "its output is an output of the graph"),
        ],
    ),
    "weight computed": (weight_computed, [("Conv_1", "the Conv has no constant weight")]),
    "bias computed": (bias_computed, [("Conv_1", "the Conv has no constant bias")]),
    "statistics computed": (
        statistics_computed,
        [("BatchNormalization_2", "its scale, bias, mean or variance is not constant")],
    ),
    "negative variance": (
        negative_variance,
        [("BatchNormalization_1", "a variance is negative or not a number")],
    ),
    "overflow": (overflow, [("Conv_0", "the folded weights are not finite in their type")]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_and_says_why(name: str) -> None:
    make, reasons = REFUSED[name]
    b = Builder(5)
    outputs = make(b)
    model = b.model({"x": IMAGE}, outputs)
    folded, applied = fold(model)
    assert applied.fired == ()
    assert [(no.because_of, no.reason) for no in applied.refused] == reasons
    assert list(folded.graph.node) == list(model.graph.node)


def test_training_mode_is_left_alone() -> None:
    b = Builder(2)
    b.batch_norm(conv(b, "x", 4, 6), 4, training_mode=1)
    b.nodes[-1].output.extend(["mean", "variance"])
    model = b.model({"x": IMAGE}, [b.nodes[-1].output[0]])
    assert [no.reason for no in fold(model)[1].refused] == ["it is in training mode"]


def test_a_weight_that_is_an_input_too_can_change_and_is_no_constant() -> None:
    b = Builder(3)
    norm = b.batch_norm(conv(b, "x", 4, 6), 4)
    model = b.model({"x": IMAGE, "w0": (4, 6, 3, 3)}, [norm])
    assert [no.reason for no in fold(model)[1].refused] == ["the Conv has no constant weight"]


def test_what_a_subgraph_reads_counts_as_read() -> None:
    b = Builder(4)
    made = conv(b, "x", 6, 6, kernel=(1, 1))
    norm = b.batch_norm(made, 6)
    branch = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", [made], ["inner"])],
        "branch",
        [],
        [onnx.helper.make_tensor_value_info("inner", onnx.TensorProto.FLOAT, IMAGE)],
    )
    b.weights["condition"] = np.array(True)
    b.op("If", "condition", then_branch=branch, else_branch=branch)
    model = b.model({"x": IMAGE}, [norm, b.nodes[-1].output[0]])
    assert [no.reason for no in fold(model)[1].refused] == ["another If reads the Conv"]


def test_the_outputs_keep_their_names_and_the_inputs_their_order() -> None:
    b = Builder(6)
    norm = b.batch_norm(conv(b, "x", 4, 6), 4)
    model = b.model({"unused": (1, 2), "x": IMAGE}, [norm])
    folded, applied = fold(model)
    assert list(input_types(folded)) == ["unused", "x"]
    assert list(output_types(folded)) == [norm]
    fired = applied.fired[0]
    assert (fired.nodes, fired.became) == (("BatchNormalization_1", "Conv_0"), ("Conv_0",))
    assert sorted(t.name for t in folded.graph.initializer) == [f"{norm}.bias", f"{norm}.weight"]


def test_the_docs_say_what_the_rules_say() -> None:
    assert (ROOT / document.FILE).read_text() == document.document(), (
        "run: python -m quant.rewrites.document"
    )


@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_documented(name: str) -> None:
    """The docstring is the documentation: a sentence, then why and how exact."""
    rule = RULES[name]
    text = type(rule).__doc__ or ""
    assert rule.name == name
    assert text.splitlines()[0].endswith(".")
    assert len(text.split("\n\n")) >= 2
    assert "xact" in text
