"""The rule that slices a Concat's parts instead of what it joins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import onnx

from quant.graph.graph import Graph, attribute
from quant.graph.operators import OWN_DOMAINS
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 30


class SliceBeforeConcat(Rule[Match]):
    """Slices the parts of a Concat of three axes, where all that reads it are Slices on another.

    For use before `concat_on_spatial_axis`: where Slices read a joined list of boxes [1, n, 4], to
    decode centres and sizes apart, rknn-toolkit2 mostly moves that rule's Reshape through the
    Concat again, and the identity matrix of N x N weights is back. Where it does not (UltraFace),
    leave this rule out: an SSD decoder of 4800 boxes is 0.11 MB without it and 0.38 MB with it; one
    of 1602 boxes 2.67 MB and 0.17 MB.

    Exact: the outputs are identical bit for bit, for only places change.
    """

    rounding = 0.0

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            if node.op_type == "Concat" and node.domain in OWN_DOMAINS and len(node.input) > 1:
                readers = graph.consumers(node.output[0])
                rank = _rank(graph, node.output[0])
                if rank == 3 and any(reader.op_type == "Slice" for reader in readers):
                    yield Match((node, *readers))

    def check(self, graph: Graph, match: Match) -> Verdict:
        concat, *readers = match.nodes
        if graph.is_output(concat.output[0]):
            return Verdict.no("its output is an output of the graph", concat)
        joined = _positive(int(cast(int, attribute(concat, "axis"))), 3)
        for reader in readers:
            if reader.op_type != "Slice" or reader.input[0] != concat.output[0]:
                return Verdict.no(f"a {reader.op_type} reads it too", reader)
            axes = _axes(graph, reader)
            if axes is None:
                return Verdict.no("the Slice's axes are not constant", reader)
            if joined in axes:
                return Verdict.no(f"the Slice cuts axis {joined}, on which it joins", reader)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        concat, *slices = match.nodes
        made = [node for one in slices for node in _moved(graph, concat, one)]
        graph.replace([concat], [])
        return tuple(made)


def _moved(graph: Graph, concat: onnx.NodeProto, one: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Put a Slice of each part, and their Concat, in the place of a Slice of the Concat."""
    label = one.name or one.output[0]
    parts = []
    for number, name in enumerate(concat.input):
        part = onnx.NodeProto()
        part.CopyFrom(one)
        part.name = f"{label}.part{number}"
        part.input[0] = name
        part.output[:] = [graph.fresh_tensor(f"{one.output[0]}.part{number}")]
        parts.append(part)
    joined = onnx.NodeProto()
    joined.CopyFrom(concat)
    joined.name = f"{label}.joined"
    joined.input[:] = [part.output[0] for part in parts]
    joined.output[:] = one.output
    graph.replace([one], [*parts, joined])
    return [*parts, joined]


def _rank(graph: Graph, tensor: str) -> int | None:
    found = graph.type(tensor)
    return len(found.shape) if found is not None and found.shape is not None else None


def _axes(graph: Graph, node: onnx.NodeProto) -> set[int] | None:
    """The axes that a Slice of three axes cuts; None where that is not known."""
    if len(node.input) > 3 and node.input[3]:
        value = graph.constant(node.input[3])
        return None if value is None else {_positive(int(axis), 3) for axis in value.ravel()}
    given = attribute(node, "axes")  # before opset 10
    if given is not None:
        return {_positive(axis, 3) for axis in cast("list[int]", given)}
    return {0, 1, 2}


def _positive(axis: int, rank: int) -> int:
    return axis + rank if axis < 0 else axis
