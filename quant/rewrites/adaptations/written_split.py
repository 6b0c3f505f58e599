"""The rule that writes out the lengths of the parts that a Split makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import onnx

from quant.graph.graph import Graph, attribute
from quant.graph.operators import OWN_DOMAINS
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 60


class WrittenSplit(Rule[Match]):
    """Writes the lengths of a Split's parts, which opset 18 may leave to `num_outputs`.

    rknn-toolkit2 2.5.0 takes each part for 1 long then: it makes a file of other shapes, or none.

    Exact: the outputs are identical bit for bit, for the lengths are those that ONNX means.
    """

    rounding = 0.0

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            is_split = node.op_type == "Split" and node.domain in OWN_DOMAINS
            if is_split and attribute(node, "num_outputs"):
                yield Match((node,))

    def check(self, graph: Graph, match: Match) -> Verdict:
        (node,) = match.nodes
        found = graph.type(node.input[0])
        if found is None or not found.is_static:
            return Verdict.no("the shape of what it splits is not known", node)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        (node,) = match.nodes
        found = graph.type(node.input[0])
        if found is None:
            raise ValueError(f"the type of `{node.input[0]}` is not known")
        length = found.static_shape[cast(int, attribute(node, "axis", 0))]
        count = len(node.output)
        part = -(-length // count)  # the last one is shorter
        lengths = [*[part] * (count - 1), length - part * (count - 1)]
        made = onnx.NodeProto()
        made.CopyFrom(node)
        del made.attribute[:]
        made.attribute.extend(held for held in node.attribute if held.name != "num_outputs")
        name = graph.add_constant(f"{node.output[0]}.lengths", np.array(lengths, np.int64))
        made.input[:] = [node.input[0], name]
        graph.replace(match.nodes, [made])
        return (made,)
