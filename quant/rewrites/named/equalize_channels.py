"""The rule that gives the channels between two layers like magnitudes."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from quant.equalization.equalize import unequal, write
from quant.graph.graph import Graph
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 100


class EqualizeChannels(Rule[Match]):
    """Divides a layer's output channels by powers of two, and multiplies the next layer's weights.

    A tensor has one int8 scale: where its channels are apart by 2^6, the small ones have 4 levels
    of 256. Cross-layer equalization (arXiv:1906.04721) moves what sets them apart into the weights
    of the layers beside, as far as a Relu, a pooling or a Reshape between them lets a factor
    through; a Clip (Relu6) does not. Pairs whose channels are much alike stay as they are.

    Exact: factors are powers of two, so no bit of an output changes (but numbers below 1e-38).
    """

    saves_bytes = False
    rounding = 2.0**-100

    def matches(self, graph: Graph) -> Iterator[Match]:
        pairs = unequal(graph)
        if pairs:
            nodes = {id(one.node): one.node for pair in pairs for one in (pair.first, pair.second)}
            yield Match(tuple(nodes.values()))

    def check(self, graph: Graph, match: Match) -> Verdict:
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        return tuple(write(graph, unequal(graph)))
