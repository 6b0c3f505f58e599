"""resize_as_convolution, pool_as_convolution and split_concat."""

from __future__ import annotations

from typing import Any

import pytest

from quant.execution.cut_run import CutRun
from quant.execution.random_inputs import random_inputs
from quant.execution.run import FloatRun
from quant.graph.graph import Graph
from quant.graph.types import input_types
from quant.rewrites.apply import Applied, apply
from quant.rewrites.table import RULES
from tests.graph_builder import Builder, parsed
from tests.rewriting import reasons, require_the_same, rewritten
from tests.vacuous import some

RESIZE, POOL = "resize_as_convolution", "pool_as_convolution"


def resized(shape: tuple[int, ...], scales: list[float], **attributes: Any) -> Applied:
    """A Resize rewritten; the outputs must be the same."""
    b = Builder(0)
    told = {"mode": "linear", "coordinate_transformation_mode": "half_pixel", **attributes}
    y = b.op("Resize", "x", "", b.constant(scales), **told)
    model = b.model({"x": shape}, [b.op("Relu", y)])
    after, applied = rewritten(RESIZE, model)
    require_the_same(RESIZE, model, after)
    return applied


@pytest.mark.parametrize(
    ("shape", "scales"),
    [
        ((1, 3, 5, 7), [1.0, 1, 2, 2]),
        ((1, 2, 3, 4), [1.0, 1, 4, 2]),
        ((2, 1, 6, 1), [1.0, 1, 1, 8]),
    ],
)
def test_interpolates_by_a_convolution(shape: tuple[int, ...], scales: list[float]) -> None:
    (fired,) = resized(shape, scales).fired
    assert len(fired.became) == 2


RESIZES: dict[str, tuple[list[float], dict[str, Any], str]] = {
    "odd": ([1, 1, 3, 3], {}, "its factors (3, 3) are not 1 or even"),
    "no whole number": (
        [1, 1, 2.1, 2.1],
        {},
        "its shapes are not known, or it resizes batch or channels",
    ),
    "smaller": (
        [1, 1, 0.5, 0.5],
        {},
        "its shapes are not known, or it resizes batch or channels",
    ),
    "corners": (
        [1, 1, 2, 2],
        {"coordinate_transformation_mode": "align_corners"},
        "its corners are not half pixels",
    ),
}


@pytest.mark.parametrize("name", RESIZES)
def test_other_resizes_stay(name: str) -> None:
    scales, told, reason = RESIZES[name]
    applied = resized((1, 3, 8, 8), [float(scale) for scale in scales], **told)
    assert (applied.fired, [why for _, why in reasons(applied)]) == ((), [reason])


def test_nearest_is_no_match() -> None:
    applied = resized((1, 3, 8, 8), [1.0, 1, 2, 2], mode="nearest")
    assert (applied.fired, applied.refused) == ((), ())


def pooled(**told: Any) -> Applied:
    b = Builder(0)
    model = b.model({"x": (1, 3, 9, 9)}, [b.op("Relu", b.op("AveragePool", "x", **told))])
    after, applied = rewritten(POOL, model)
    require_the_same(POOL, model, after)
    return applied


@pytest.mark.parametrize(
    "told",
    [
        {"kernel_shape": [3, 3], "strides": [3, 3]},
        {"kernel_shape": [3, 2], "strides": [1, 2]},
        {"kernel_shape": [3, 3], "pads": [1, 0, 1, 2], "count_include_pad": 1},
    ],
)
def test_averages_by_a_convolution(told: dict[str, Any]) -> None:
    assert len(pooled(**told).fired) == 1


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"kernel_shape": [3, 3], "pads": [1] * 4}, "it leaves its border out of the mean"),
        ({"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}, "it pads as much as it needs"),
        (
            {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
            "it rounds its output's size up",
        ),
    ],
)
def test_other_pools_stay(told: dict[str, Any], reason: str) -> None:
    applied = pooled(**told)
    assert (applied.fired, [why for _, why in reasons(applied)]) == ((), [reason])


def test_a_pool_of_other_numbers_stays() -> None:
    model = parsed(
        "g (float16[1,3,9,9] x) => (float16[1,3,8,8] y) "
        "{ y = AveragePool<kernel_shape: ints = [2,2]>(x) }",
        {},
    )
    _, applied = rewritten(POOL, model)
    assert (applied.fired, [why for _, why in reasons(applied)]) == ((), ["it is float16"])


def test_a_pool_over_all_is_no_match() -> None:
    applied = pooled(kernel_shape=[9, 9])
    assert (applied.fired, applied.refused) == ((), ())


JOINED = """g (float[1,4] x) => (float[1,8] y, float[1,4] a) {
    a = Relu(x)  b = Sigmoid(x)  y = Concat<axis: int = 1>(a, b)
}"""


def test_network_and_tail_are_the_whole() -> None:
    model = parsed(JOINED)
    graph = Graph(model)
    applied = apply(RULES["split_concat"], graph)
    assert len(applied.fired) == 1 and graph.tail is not None
    assert list(graph.outputs) == ["a", "b"]
    feeds = random_inputs(input_types(model), 0)
    expected, found = FloatRun(model)(feeds), CutRun(graph.to_model(), graph.tail)(feeds)
    assert all((found[name] == expected[name]).all() for name in some(expected))


@pytest.mark.parametrize(
    "text",
    [
        "g (float[1,4] x) => (float[1,8] y) { y = Concat<axis: int = 1>(x, x) }",
        "g (float[1,4] x) => (float[1,8] z) { a = Relu(x) y = Concat<axis: int = 1>(a, a) "
        "z = Relu(y) }",
    ],
)
def test_no_last_concat_of_computed_tensors(text: str) -> None:
    assert apply(RULES["split_concat"], Graph(parsed(text))).fired == ()
