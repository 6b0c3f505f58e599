"""The rule that writes out the bias of zeros which a recurrent layer without one has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from quant.graph.graph import Graph
from quant.graph.operators import OWN_DOMAINS
from quant.graph.types import numpy_dtype
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 40

_RECURRENCE, _BIAS = 2, 3  # inputs: [directions, gates * hidden, hidden], [directions, 2 * ...]


class WrittenBias(Rule[Match]):
    """Gives an LSTM without a bias the zeros that ONNX means by that.

    rknn-toolkit2 2.5.0 expects every LSTM to have one; torch's `bias=False` leaves it out.

    Exact: the outputs are identical bit for bit, for zeros are added where they were before.
    """

    rounding = 0.0

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            is_lstm = node.op_type == "LSTM" and node.domain in OWN_DOMAINS
            if is_lstm and not (len(node.input) > _BIAS and node.input[_BIAS]):
                yield Match((node,))

    def check(self, graph: Graph, match: Match) -> Verdict:
        (node,) = match.nodes
        found = graph.type(node.input[_RECURRENCE])
        if found is None or not found.is_static:
            return Verdict.no("the shape of its weights is not known", node)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        (node,) = match.nodes
        found = graph.type(node.input[_RECURRENCE])
        if found is None:
            raise ValueError(f"the type of `{node.input[_RECURRENCE]}` is not known")
        directions, gates, _ = found.static_shape
        zeros = np.zeros((directions, 2 * gates), numpy_dtype(found.dtype))
        made = onnx.NodeProto()
        made.CopyFrom(node)
        inputs = [*node.input[:_BIAS], graph.add_constant(f"{node.input[1]}.bias", zeros)]
        made.input[:] = [*inputs, *node.input[_BIAS + 1 :]]
        graph.replace(match.nodes, [made])
        return (made,)
