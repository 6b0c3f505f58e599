"""The rule that has an LSTM's last state read where its cell state alone is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from quant.graph.graph import Graph, attribute
from quant.graph.operators import OWN_DOMAINS, label
from quant.rewrites.adaptations.last_state import is_read
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 20

_STATE, _CELL = 1, 2  # outputs Y_h and Y_c: [directions, batch, hidden]
_HIDDEN = 2  # their last axis


class CellState(Rule[Match]):
    """Joins the last state of an LSTM to its cell state `Y_c`, and takes that out again.

    rknn-toolkit2 refuses an LSTM of which `Y_c` alone is read.

    Exact: the outputs are identical bit for bit, for only places change.
    """

    rounding = 0.0

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            if node.op_type == "LSTM" and node.domain in OWN_DOMAINS:
                others = any(is_read(graph, node, index) for index in range(_CELL))
                if is_read(graph, node, _CELL) and not others:
                    yield Match((node,))

    def check(self, graph: Graph, match: Match) -> Verdict:
        (node,) = match.nodes
        if graph.opset < 10:
            return Verdict.no(f"opset {graph.opset} has Slice in another form", node)
        if not attribute(node, "hidden_size", 0):
            return Verdict.no("it does not say its `hidden_size`", node)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        (node,) = match.nodes
        hidden, cell = attribute(node, "hidden_size", 0), node.output[_CELL]
        assert isinstance(hidden, int)
        made = onnx.NodeProto()
        made.CopyFrom(node)
        names = [name or graph.fresh_tensor(f"{label(node)}.unread") for name in node.output[:2]]
        made.output[:] = [*names, graph.fresh_tensor(f"{cell}.cell")]
        joined = graph.fresh_tensor(f"{cell}.joined")
        join = onnx.helper.make_node("Concat", made.output[1:], [joined], joined, axis=_HIDDEN)
        given = [
            graph.add_constant(f"{cell}.{name}", np.array([value], np.int64))
            for name, value in (("starts", hidden), ("ends", 2 * hidden), ("axes", _HIDDEN))
        ]
        take = onnx.helper.make_node("Slice", [joined, *given], [cell], f"{cell}.taken")
        graph.replace(match.nodes, [made, join, take])
        return (made, join, take)
