"""The rule that leaves out what is negated twice."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import helper

from quant.graph.graph import Graph
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 100


class CancelNegation(Rule[Match]):
    """Leaves out two Neg, one after the other.

    Exact: a sign that changes twice is the same bit.
    """

    rounding = 0.0

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            before = graph.producer(node.input[0]) if node.op_type == "Neg" else None
            if before is not None and before.op_type == "Neg":
                yield Match((node, before))

    def check(self, graph: Graph, match: Match) -> Verdict:
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        last, first = match.nodes
        made = helper.make_node("Identity", [first.input[0]], list(last.output), last.name)
        graph.replace([last], [made])
        return (made,)
