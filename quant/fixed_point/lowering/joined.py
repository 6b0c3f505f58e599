"""Tensors that one Concat alone reads: made at one scale, they need no rescale of their own."""

from __future__ import annotations

from collections.abc import Mapping

from quant.fixed_point.calibration.ranges import Range
from quant.graph.graph import Graph


def joined(graph: Graph, ranges: Mapping[str, Range]) -> tuple[dict[str, float], set[str]]:
    """The peak of the tensors that a Concat joins, for those that nothing else reads; and those of
    them that must keep a sign, as another has one."""
    peaks: dict[str, float] = {}
    mixed: set[str] = set()
    for node in graph.nodes:
        if node.op_type != "Concat" or not all(name in ranges for name in node.input):
            continue
        own = [n for n in node.input if len(graph.consumers(n)) == 1 and not graph.is_output(n)]
        peak = max(ranges[name].largest for name in node.input)
        peaks |= dict.fromkeys(own, peak)
        if min(ranges[name].low for name in node.input) < 0:
            mixed.update(own)
    return peaks, mixed
