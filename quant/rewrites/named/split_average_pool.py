"""The rule that averages in two steps what is too large for one."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from quant.graph.graph import Graph, attribute
from quant.graph.operators import OWN_DOMAINS
from quant.rewrites.rule import Match, Rule, Verdict
from quant.rewrites.window import is_global, numbers, text
from quant.rewrites.window import kernel as window_of

PLACE = 70

# The NPU's pooling takes windows of up to 7x7; measured on rk3588 and rk3576.
_LARGEST = 7


class SplitAveragePool(Rule[Match]):
    """Makes several AveragePools of one whose windows lie side by side and are wider than 7.

    rknn-toolkit2 makes many layers, or for an odd width a dense convolution, of such a pooling.
    Over 64 channels on rk3588 with `single_core_mode`, a network of one convolution and one
    AveragePool is 0.90 MB where that is 9x9 wide, 1.44 MB for 15x15 and 0.46 MB for 56x56; as 3x3
    twice, 5x5 and 3x3, or 7x7, 4x4 and 2x2, it is 0.03 MB. Of 15x15 windows in a map of 32x32 it
    writes registers that no board takes (the log's REGTASK), which this cures too. Pyramids of
    pools, as in PSPNet, have such widths. Global pooling needs no cure: GlobalAveragePool,
    ReduceMean and AveragePool over all gave the same size within 128 bytes, two ReduceMeans more.

    Exact but for rounding: means of as many means each are the mean. An output of n values moves by
    at most n 2^-24 (float32; 2^-11 for float16) of the mean of their magnitudes.
    """

    rounding = 2.0**-16

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            is_pool = node.op_type == "AveragePool" and node.domain in OWN_DOMAINS
            if is_pool and max(window_of(node)) > _LARGEST and not is_global(graph, node):
                yield Match((node,))

    def check(self, graph: Graph, match: Match) -> Verdict:
        (pool,) = match.nodes
        kernel = window_of(pool)
        if numbers(pool, "strides", [1] * len(kernel)) != kernel:
            return Verdict.no("its windows do not lie side by side", pool)
        if any(numbers(pool, "pads", [0])) or text(pool, "auto_pad") not in ("NOTSET", "VALID"):
            return Verdict.no("it pads", pool)
        if attribute(pool, "ceil_mode", 0):
            return Verdict.no("it rounds its output's size up", pool)
        if any(length != 1 for length in numbers(pool, "dilations", [1])):
            return Verdict.no("it is dilated", pool)
        for length in kernel:
            if _first(length) == 1 and length > _LARGEST:
                return Verdict.no(f"{length} has no divisor from 2 to {_LARGEST}", pool)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        (pool,) = match.nodes
        kernel = window_of(pool)
        first = [_first(length) for length in kernel]
        rest = [length // one for length, one in zip(kernel, first, strict=True)]
        between = graph.fresh_tensor(f"{pool.output[0]}.first")
        made = (
            _pool(pool.input[0], between, between, first),
            _pool(between, pool.output[0], pool.name, rest),
        )
        graph.replace(match.nodes, made)
        return made


def _pool(x: str, output: str, name: str, kernel: list[int]) -> onnx.NodeProto:
    make = onnx.helper.make_node
    return make("AveragePool", [x], [output], name, kernel_shape=kernel, strides=kernel)


def _first(length: int) -> int:
    """What the first of several pools takes: the largest divisor that the NPU has, or all."""
    return max(n for n in range(1, _LARGEST + 1) if length % n == 0)
