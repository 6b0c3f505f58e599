"""The rule that gives a recurrent layer the outputs that it leaves out before others."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from quant.graph.graph import Graph
from quant.graph.operators import OWN_DOMAINS, label
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 30

_RECURRENT = ("GRU", "LSTM", "RNN")


class NamedStates(Rule[Match]):
    """Names the outputs that an LSTM, GRU or RNN leaves out before one that is read.

    ONNX writes an empty name for such an output: `Y` of a network that reads the last state alone.
    rknn-toolkit2 refuses an empty one, and takes one with a name that nobody reads.

    Exact: the outputs are identical bit for bit, for nothing is computed that was not before.
    """

    rounding = 0.0

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            if node.op_type in _RECURRENT and node.domain in OWN_DOMAINS:
                named = [i for i, name in enumerate(node.output) if name]
                if named and not all(node.output[: named[-1]]):
                    yield Match((node,))

    def check(self, graph: Graph, match: Match) -> Verdict:
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        (node,) = match.nodes
        made = onnx.NodeProto()
        made.CopyFrom(node)
        made.output[:] = [
            name or graph.fresh_tensor(f"{label(node)}.unread{index}")
            for index, name in enumerate(node.output)
        ]
        graph.replace(match.nodes, [made])
        return (made,)
