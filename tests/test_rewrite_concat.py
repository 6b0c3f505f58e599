"""concat_on_spatial_axis and slice_before_concat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from quant.graph.operators import operator_counts
from quant.graph.types import input_types
from quant.rewrites.apply import Applied
from tests.graph_builder import Builder
from tests.rewriting import reasons, require_the_same, rewritten

JOIN, SLICE = "concat_on_spatial_axis", "slice_before_concat"


def joined(
    lengths: Sequence[int], rest: tuple[int, ...] = (4,), axis: int = 1, batch: int = 1
) -> tuple[Builder, dict[str, Sequence[int]], str]:
    """A Concat of inputs x0, x1 ...; its output's name."""
    b = Builder(0)
    inputs: dict[str, Sequence[int]] = {
        f"x{i}": (batch, length, *rest) for i, length in enumerate(lengths)
    }
    return b, inputs, b.op("Concat", *inputs, axis=axis)


def ints(b: Builder, *values: int) -> str:
    name = f"i{len(b.weights)}"
    b.weights[name] = np.array(values, np.int64)
    return name


def flat(b: Builder, x: str, kind: str) -> str:
    shape = (2,) if kind == "Squeeze" else (1, 59, 4)
    return b.op(kind, x, ints(b, *shape))


@pytest.mark.parametrize("axis", [1, -2])
@pytest.mark.parametrize("lengths", [(48, 8, 3), (16, 15), (1, 16), (5, 5, 5, 5)])
def test_joins_on_axis_2(lengths: Sequence[int], axis: int) -> None:
    b, inputs, output = joined(lengths, axis=axis)
    model = b.model(inputs, [b.op("Relu", output)])
    after, applied = rewritten(JOIN, model)
    require_the_same(JOIN, model, after)
    (fired,) = applied.fired
    assert fired.nodes == ("Concat_0",)
    assert applied.refused == ()
    (concat,) = [node for node in after.graph.node if node.op_type == "Concat"]
    assert concat.attribute[0].i == 2
    assert operator_counts(after)["Reshape"] == len(lengths) + 1


@pytest.mark.parametrize("kind", ["Squeeze", "Reshape"])
def test_joins_four_axes_that_become_three(kind: str) -> None:
    b, inputs, output = joined((48, 8, 3), (1, 4))
    model = b.model(inputs, [b.op("Relu", flat(b, output, kind))])
    after, applied = rewritten(JOIN, model)
    require_the_same(JOIN, model, after)
    assert len(applied.fired) == 1


def test_an_output_of_the_graph_keeps_its_name() -> None:
    b, inputs, output = joined((7, 9))
    model = b.model(inputs, [output])
    after, _ = rewritten(JOIN, model)
    require_the_same(JOIN, model, after)
    assert list(input_types(after)) == ["x0", "x1"]


REFUSED = {
    "aligned": (joined((48, 16)), "every part has a multiple of 16 channels"),
    "batch": (joined((7, 9), batch=2), "the batch is 2, not 1"),
    "one input": (joined((7,)), "it joins nothing: it has one input"),
    "feature maps": (
        joined((7, 9), (4, 5)),
        "its output stays of four axes, where the toolkit undoes this rewrite",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_does_not_join_and_says_why(name: str) -> None:
    (b, inputs, output), reason = REFUSED[name]
    model = b.model(inputs, [output])
    after, applied = rewritten(JOIN, model)
    assert reasons(applied) == [("Concat_0", reason)]
    assert list(after.graph.node) == list(model.graph.node)


@pytest.mark.parametrize("axis", [0, 2, -1])
def test_another_axis_is_none_of_its_business(axis: int) -> None:
    b, _, _ = joined((7, 9))
    b.nodes[0].attribute[0].i = axis
    model = b.model({"x0": (1, 7, 4), "x1": (1, 7, 4)}, [b.nodes[0].output[0]])
    assert rewritten(JOIN, model)[1] == Applied((), ())


def cut(b: Builder, x: str, start: int, end: int, axis: int) -> str:
    return b.op("Slice", x, *(ints(b, value) for value in (start, end, axis)))


def decoder(b: Builder, x: str) -> list[str]:
    centres, sizes = cut(b, x, 0, 2, 2), cut(b, x, 2, 4, -1)
    return [b.op("Concat", centres, b.op("Exp", sizes), axis=2)]


def test_slices_the_parts() -> None:
    b, inputs, output = joined((7, 9, 3))
    model = b.model(inputs, decoder(b, output))
    after, applied = rewritten(SLICE, model)
    require_the_same(SLICE, model, after)
    assert operator_counts(after) == {"Concat": 3, "Exp": 1, "Slice": 6}
    assert [node for one in applied.fired for node in one.nodes] == [
        "Concat_0", "Slice_1", "Slice_2",
    ]  # fmt: skip
    both, applied = rewritten(JOIN, after)
    require_the_same(SLICE, model, both)
    assert len(applied.fired) == 2


def test_slices_parts_whose_bounds_come_from_nodes_between() -> None:
    b, inputs, output = joined((7, 9))
    bounds = [
        b.op("Constant", value=onnx.numpy_helper.from_array(np.array([value], np.int64)))
        for value in (1, 3, 2)
    ]
    model = b.model(inputs, [b.op("Slice", output, *bounds)])
    after, applied = rewritten(SLICE, model)
    require_the_same(SLICE, model, after)
    assert len(applied.fired) == 1


def relu_too(b: Builder, x: str) -> list[str]:
    return [cut(b, x, 0, 2, 2), b.op("Relu", x)]


def same_axis(b: Builder, x: str) -> list[str]:
    return [cut(b, x, 0, 2, 1)]


def all_axes(b: Builder, x: str) -> list[str]:
    return [b.op("Slice", x, ints(b, 0, 0, 0), ints(b, 1, 3, 2))]


def output_too(b: Builder, x: str) -> list[str]:
    return [cut(b, x, 0, 2, 2), x]


NOT_SLICED: dict[str, tuple[Callable[[Builder, str], list[str]], Any]] = {
    "relu": (relu_too, ("Relu_2", "a Relu reads it too")),
    "same axis": (same_axis, ("Slice_1", "the Slice cuts axis 1, on which it joins")),
    "all axes": (all_axes, ("Slice_1", "the Slice cuts axis 1, on which it joins")),
    "output": (output_too, ("Concat_0", "its output is an output of the graph")),
}


@pytest.mark.parametrize("name", NOT_SLICED)
def test_does_not_slice_the_parts_and_says_why(name: str) -> None:
    read, reason = NOT_SLICED[name]
    b, inputs, output = joined((7, 9))
    model = b.model(inputs, read(b, output))
    after, applied = rewritten(SLICE, model)
    assert reasons(applied) == [reason]
    assert list(after.graph.node) == list(model.graph.node)
