"""merge_groups and split_depthwise_multiplier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from quant.rewrites.apply import Applied
from quant.rewrites.convolution import groups
from tests.graph_builder import Builder
from tests.rewriting import reasons, require_the_same, rewritten

MERGE, SPLIT = "merge_groups", "split_depthwise_multiplier"
WIDE = (1, 96, 7, 6)


def conv(b: Builder, x: str, after: int, before: int, count: int = 1, **attributes: Any) -> str:
    kernel = attributes.pop("kernel", (3, 3))
    bias = [b.weight(after)] if attributes.pop("bias", True) else []
    weight = b.weight(after, before // count, *kernel)
    return b.op("Conv", x, weight, *bias, group=count, **attributes)


@pytest.mark.parametrize(
    ("channels", "outputs", "count", "becomes"),
    [
        (64, 64, 16, 2),  # 4 a group -> 32
        (96, 48, 6, 3),  # 16 -> 32
        (96, 96, 12, 3),  # 8 -> 32
        (96, 192, 4, 2),  # 24 -> 48
        (144, 144, 12, 3),  # 12 -> 48, a multiple of 16
        (160, 40, 4, 2),  # 40 -> 80
        (64, 128, 64, 2),  # a depthwise multiplier is a narrow group too
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_merges_until_wide(
    channels: int, outputs: int, count: int, becomes: int, bias: bool
) -> None:
    b = Builder(1)
    attributes = {"bias": bias, "strides": [2, 1], "pads": [1, 0, 1, 2], "dilations": [1, 2]}
    last = conv(b, "x", outputs, channels, count, **attributes)
    model = b.model({"x": (1, channels, 7, 6)}, [last])
    after, applied = rewritten(MERGE, model)
    require_the_same(MERGE, model, after)
    (node,) = after.graph.node
    assert (groups(node), node.name) == (becomes, "Conv_0")
    assert (len(applied.fired), applied.refused) == (1, ())


def test_every_weight_is_in_its_block_and_the_rest_is_zero() -> None:
    b = Builder(2)
    model = b.model({"x": (1, 64, 3, 3)}, [conv(b, "x", 64, 64, 8, kernel=(1, 1), bias=False)])
    after, _ = rewritten(MERGE, model)
    (held,) = after.graph.initializer
    wide, narrow = numpy_helper.to_array(held), b.weights["w0"]
    assert wide.shape == (64, 32, 1, 1)
    for output in range(64):
        first = output // 8 % 4 * 8
        assert np.array_equal(wide[output, first : first + 8], narrow[output])
        assert np.count_nonzero(wide[output]) == np.count_nonzero(narrow[output])


def test_a_shared_weight_stays_for_others() -> None:
    b = Builder(3)
    weight = b.weight(64, 8, 1, 1)
    one, two = (b.op("Conv", "x", weight, group=8) for _ in range(2))
    model = b.model({"x": (1, 64, 3, 3)}, [b.op("Add", one, two)])
    after, applied = rewritten(MERGE, model)
    require_the_same(MERGE, model, after)
    assert len(applied.fired) == 2


def test_float16_and_one_axis() -> None:
    b = Builder(4, "float16")
    model = b.model({"x": (1, 64, 9)}, [conv(b, "x", 64, 64, 16, kernel=(3,))])
    after, applied = rewritten(MERGE, model)
    assert len(applied.fired) == 1
    assert {tensor.data_type for tensor in after.graph.initializer} == {10}


@pytest.mark.parametrize(("channels", "count"), [(64, 2), (64, 1), (96, 96), (160, 2)])
def test_wide_ones_and_depthwise_ones_are_left_alone(channels: int, count: int) -> None:
    b = Builder(5)
    model = b.model({"x": (1, channels, 5, 5)}, [conv(b, "x", channels, channels, count)])
    applied = rewritten(MERGE, model)[1]
    assert applied == Applied((), ())


def computed_weight(b: Builder) -> str:
    return b.op("Conv", "x", b.op("Relu", b.weight(72, 6, 3, 3)), group=12)


def two_groups(b: Builder) -> str:
    return conv(b, "x", 72, 72, 2)


def nan_weight(b: Builder) -> str:
    values = np.ones((72, 2, 1, 1))
    values[3] = np.nan
    x = b.op("Concat", "x", "x", "x", "x", axis=1)  # 288 channels
    return b.op("Conv", x, b.constant(np.tile(values, (4, 1, 1, 1))), group=144)


NOT_MERGED: dict[str, tuple[Callable[[Builder], str], str, str]] = {
    "computed": (computed_weight, "Conv_1", "the Conv has no constant weight"),
    "two groups": (
        two_groups,
        "Conv_0",
        "2 groups of 36 channels can't become fewer, but more than one, with a multiple of 16 "
        "channels and 32 at least",
    ),
    "nan": (nan_weight, "Conv_1", "a weight is not finite"),
}


@pytest.mark.parametrize("name", NOT_MERGED)
def test_does_not_merge_and_says_why(name: str) -> None:
    make, node, reason = NOT_MERGED[name]
    b = Builder(6)
    model = b.model({"x": (1, 72, 5, 5)}, [make(b)])
    after, applied = rewritten(MERGE, model)
    assert reasons(applied) == [(node, reason)]
    assert list(after.graph.node) == list(model.graph.node)


def relu(b: Builder, x: str) -> str:
    return b.op("Relu", x)


def clip_and_pool(b: Builder, x: str) -> str:
    x = b.op("Clip", x, b.constant(0.0), b.constant(6.0))
    return b.op("MaxPool", x, kernel_shape=[2, 2])


def silu(b: Builder, x: str) -> str:
    return b.op("Mul", x, b.op("Sigmoid", x))


def scaled(b: Builder, x: str) -> str:
    return b.op("Add", b.op("Mul", x, b.constant([0.5])), b.constant(0.25))


BETWEEN: dict[str, Callable[[Builder, str], str]] = {
    "nothing": lambda b, x: x,
    "relu": relu,
    "clip and pool": clip_and_pool,
    "silu": silu,
    "scaled by one number": scaled,
}


@pytest.mark.parametrize("multiplier", [2, 3])
@pytest.mark.parametrize("name", BETWEEN)
def test_splits_and_turns_what_reads_it(name: str, multiplier: int) -> None:
    b = Builder(7)
    wide = 6 * multiplier
    x = BETWEEN[name](b, conv(b, "x", wide, 6, 6, pads=[1, 1, 1, 1], strides=[1, 2]))
    ends = [conv(b, x, 5, wide, kernel=(1, 1)), conv(b, x, 5, wide, kernel=(2, 1), bias=False)]
    model = b.model({"x": (1, 6, 9, 8)}, ends)
    after, applied = rewritten(SPLIT, model)
    require_the_same(SPLIT, model, after)
    (fired,) = applied.fired
    assert fired.nodes == ("Conv_0", *(end.removesuffix("_out") for end in ends))
    depthwise = [node for node in after.graph.node if groups(node) == 6]
    assert len(depthwise) == multiplier
    assert applied.refused == ()


def channel_wise(b: Builder, x: str) -> list[str]:
    return [conv(b, b.op("Add", x, b.weight(12, 1, 1)), 5, 12)]


def other_branch(b: Builder, x: str) -> list[str]:
    return [conv(b, b.op("Add", x, conv(b, "x", 12, 6, pads=[1] * 4)), 5, 12)]


def reshaped(b: Builder, x: str) -> list[str]:
    return [conv(b, x, 5, 12), b.op("Flatten", x)]


def output_too(b: Builder, x: str) -> list[str]:
    return [conv(b, x, 5, 12), b.op("Relu", x)]


def grouped(b: Builder, x: str) -> list[str]:
    return [conv(b, x, 4, 12, 2)]


def computed_end(b: Builder, x: str) -> list[str]:
    return [b.op("Conv", x, b.op("Relu", b.weight(4, 12, 1, 1)))]


NOT_SPLIT: dict[str, tuple[Callable[[Builder, str], list[str]], str, str]] = {
    "per channel": (channel_wise, "Add_1", "a Add reads its channels in their order"),
    "another branch": (other_branch, "Add_2", "a Add reads its channels in their order"),
    "reshaped": (reshaped, "Flatten_2", "a Flatten reads its channels in their order"),
    "output": (
        output_too,
        "Conv_0",
        "its channels reach an output of the graph in their order",
    ),
    "grouped": (grouped, "Conv_1", "the Conv that reads it has groups"),
    "computed": (computed_end, "Conv_2", "the Conv that reads it has no constant weight"),
}


@pytest.mark.parametrize("name", NOT_SPLIT)
def test_does_not_split_and_says_why(name: str) -> None:
    make, node, reason = NOT_SPLIT[name]
    b = Builder(8)
    outputs = make(b, conv(b, "x", 12, 6, 6, pads=[1] * 4))
    model = b.model({"x": (1, 6, 9, 11)}, outputs)
    after, applied = rewritten(SPLIT, model)
    found = reasons(applied)
    assert [reason for _, reason in found] == [reason]
    if name != "output":
        assert found[0][0] == node
    assert list(after.graph.node) == list(model.graph.node)


def test_plain_depthwise_and_grouped_ones_are_none_of_its_business() -> None:
    b = Builder(9)
    model = b.model({"x": (1, 12, 5, 5)}, [conv(b, conv(b, "x", 12, 12, 12), 12, 12, 4)])
    applied = rewritten(SPLIT, model)[1]
    assert applied == Applied((), ())
