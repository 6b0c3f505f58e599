"""The rule that averages by a convolution, whose output has an int8 range of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper

from quant.graph.graph import Graph, attribute
from quant.graph.operators import OWN_DOMAINS
from quant.rewrites.rule import Match, Rule, Verdict
from quant.rewrites.window import is_global, kernel, numbers, text

PLACE = 90


class PoolAsConvolution(Rule[Match]):
    """Makes a depthwise Conv with equal weights of an AveragePool that does not cover all.

    rknn-toolkit2 holds an AveragePool's input and output in one int8 range, the input's. A mean is
    smaller: of sparse maps a 6x6 mean has 4 levels of 256. A convolution's output has a range of
    its own. Where the pool's borders are not counted (`count_include_pad: 0`, ONNX's default), no
    convolution computes it.

    Exact but for rounding: a mean is the sum of the shares.
    """

    saves_bytes = False
    rounding = 2.0**-18

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            is_pool = node.op_type == "AveragePool" and node.domain in OWN_DOMAINS
            if is_pool and not is_global(graph, node):
                yield Match((node,))

    def check(self, graph: Graph, match: Match) -> Verdict:
        (pool,) = match.nodes
        type_ = graph.type(pool.input[0])
        if type_ is None or not type_.is_static or len(type_.static_shape) != 4:
            return Verdict.no("its input's shape is not known, or not 4-D", pool)
        if type_.dtype != "float32":
            return Verdict.no(f"it is {type_.dtype}", pool)
        if text(pool, "auto_pad") not in ("NOTSET", "VALID"):
            return Verdict.no("it pads as much as it needs", pool)
        if any(numbers(pool, "pads", [0])) and not attribute(pool, "count_include_pad", 0):
            return Verdict.no("it leaves its border out of the mean", pool)
        if attribute(pool, "ceil_mode", 0):
            return Verdict.no("it rounds its output's size up", pool)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        (pool,) = match.nodes
        type_ = graph.type(pool.input[0])
        assert type_ is not None
        channels, window = type_.static_shape[1], kernel(pool)
        shares = np.full((channels, 1, *window), 1 / np.prod(window), np.float32)
        weights = graph.add_constant(f"{pool.output[0]}.weights", shares)
        made = helper.make_node(
            "Conv",
            [pool.input[0], weights],
            list(pool.output),
            pool.name,
            group=channels,
            kernel_shape=window,
            strides=numbers(pool, "strides", [1, 1]),
            pads=numbers(pool, "pads", [0] * 4),
            dilations=numbers(pool, "dilations", [1, 1]),
        )
        graph.replace(match.nodes, (made,))
        return (made,)
