"""The rule that leaves out parts of a Split that have no elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import onnx

from quant.graph.graph import Graph, attribute
from quant.graph.operators import OWN_DOMAINS
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 70

_LENGTHS = 1  # input


class NoEmptyParts(Rule[Match]):
    """Takes a Split's parts of length 0 out of the Concats that join them to others.

    A RotaryEmbedding over whole heads has such a part. rknn-toolkit2 2.5.0 takes it for a constant,
    and with it all that reads it, to the outputs.

    Exact: the outputs are identical bit for bit, for nothing is left out.
    """

    rounding = 0.0

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            if (
                node.op_type == "Split"
                and node.domain in OWN_DOMAINS
                and 0 in _lengths(graph, node)
            ):
                empty = [name for name, n in _parts(graph, node) if n == 0]
                readers = {id(one): one for name in empty for one in graph.consumers(name)}
                yield Match((node, *readers.values()))

    def check(self, graph: Graph, match: Match) -> Verdict:
        split, *joins = match.nodes
        found = graph.type(split.input[0])
        if found is None or found.shape is None:
            return Verdict.no("the rank of what it splits is not known", split)
        axis, rank = cast(int, attribute(split, "axis", 0)), len(found.shape)
        empty = {name for name, n in _parts(graph, split) if n == 0}
        if any(graph.is_output(name) for name in empty):
            return Verdict.no("a part without elements is an output of the graph", split)
        if len(empty) == len(split.output):
            return Verdict.no("none of its parts has elements", split)
        for join in joins:
            if join.op_type != "Concat" or join.domain not in OWN_DOMAINS:
                return Verdict.no(f"a {join.op_type} reads a part without elements", join)
            if (cast(int, attribute(join, "axis")) - axis) % rank:
                return Verdict.no("it joins on another axis", join)
            if empty.issuperset(join.input):
                return Verdict.no("it joins nothing else", join)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        split, *joins = match.nodes
        parts = [(name, n) for name, n in _parts(graph, split) if n]
        names = [name for name, _ in parts]
        made = [_without(join, {*split.output} - {*names}) for join in joins]
        for join, new in zip(joins, made, strict=True):
            graph.replace([join], [new])
        whole = onnx.helper.make_node("Identity", split.input[:1], names, split.name)
        if len(parts) > 1:
            whole.CopyFrom(split)
            whole.output[:] = names
            lengths = np.array([n for _, n in parts], np.int64)
            whole.input[_LENGTHS] = graph.add_constant(f"{split.output[0]}.lengths", lengths)
        graph.replace([split], [whole])
        return (whole, *made)


def _lengths(graph: Graph, split: onnx.NodeProto) -> list[int]:
    """Of its parts; empty where they are not known."""
    if len(split.input) <= _LENGTHS or not split.input[_LENGTHS]:
        return []
    value = graph.constant(split.input[_LENGTHS])
    return [] if value is None else [int(n) for n in value]


def _parts(graph: Graph, split: onnx.NodeProto) -> list[tuple[str, int]]:
    return list(zip(split.output, _lengths(graph, split), strict=True))


def _without(join: onnx.NodeProto, empty: set[str]) -> onnx.NodeProto:
    made = onnx.NodeProto()
    made.CopyFrom(join)
    made.input[:] = [name for name in join.input if name not in empty]
    return made
