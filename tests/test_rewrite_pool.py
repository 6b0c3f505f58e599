"""split_average_pool."""

from __future__ import annotations

from typing import Any

import pytest

from quant.rewrites.apply import Applied
from tests.graph_builder import Builder
from tests.rewriting import reasons, require_the_same, rewritten

RULE = "split_average_pool"


def pooled(
    kernel: list[int], shape: tuple[int, ...], **attributes: Any
) -> tuple[Applied, list[list[int]]]:
    """What became of an AveragePool: the kernels now. The outputs must be the same."""
    b = Builder(0)
    told = {"kernel_shape": kernel, "strides": kernel, **attributes}
    model = b.model({"x": shape}, [b.op("Relu", b.op("AveragePool", "x", **told))])
    after, applied = rewritten(RULE, model)
    require_the_same(RULE, model, after)
    pools = [node for node in after.graph.node if node.op_type == "AveragePool"]
    kernels = [
        list(held.ints) for node in pools for held in node.attribute if held.name == "kernel_shape"
    ]
    return applied, kernels


@pytest.mark.parametrize(
    ("kernel", "shape", "kernels"),
    [
        ([9, 9], (1, 3, 18, 27), [[3, 3], [3, 3]]),
        ([8, 2], (1, 3, 16, 7), [[4, 2], [2, 1]]),
        ([56, 10], (1, 2, 113, 39), [[7, 5], [4, 2], [2, 1]]),  # what is left over stays so
        ([15], (1, 2, 30), [[5], [3]]),
    ],
)
def test_averages_in_several_steps(
    kernel: list[int], shape: tuple[int, ...], kernels: list[list[int]]
) -> None:
    applied, found = pooled(kernel, shape)
    fired = sorted(len(one.became) for one in applied.fired)
    # 56 = 7 * 8, and 8 is wider than 7 again.
    assert (found, fired, applied.refused) == (kernels, [2] * (len(kernels) - 1), ())


REFUSED: dict[str, tuple[list[int], dict[str, Any], str]] = {
    "overlapping": ([9, 9], {"strides": [3, 3]}, "its windows do not lie side by side"),
    "without strides": ([9, 9], {"strides": [1, 1]}, "its windows do not lie side by side"),
    "padded": ([9, 9], {"pads": [1, 0, 0, 0]}, "it pads"),
    "same": ([9, 9], {"auto_pad": "SAME_UPPER"}, "it pads"),
    "ceil": ([9, 9], {"ceil_mode": 1}, "it rounds its output's size up"),
    "prime": ([11, 4], {}, "11 has no divisor from 2 to 7"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_does_not_split_and_says_why(name: str) -> None:
    kernel, attributes, reason = REFUSED[name]
    applied, found = pooled(kernel, (1, 2, 40, 40), **attributes)
    assert reasons(applied) == [("AveragePool_0", reason)]
    assert found == [kernel]


@pytest.mark.parametrize("kernel", [[7, 7], [18, 20]])
def test_small_and_global_ones_are_none_of_its_business(kernel: list[int]) -> None:
    assert pooled(kernel, (1, 2, 18, 20))[0] == Applied((), ())
