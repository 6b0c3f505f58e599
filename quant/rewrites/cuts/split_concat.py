"""The rule that puts out the parts of a last Concat, each with an int8 range of its own."""

from __future__ import annotations

from collections.abc import Iterator

from quant.graph.graph import Graph
from quant.rewrites.cuts.cut_postprocessing import CutMatch, CutPostprocessing

PLACE = 20


class SplitConcat(CutPostprocessing):
    """Ends the network before the Concats that make its outputs: the parts are outputs instead.

    One output has one int8 range: scores of 0 to 1 beside boxes in pixels are all 0 on the NPU,
    with a cosine of 0.9998. As outputs of their own each has its own range. `simplify/tail.onnx`
    joins them again, on the CPU; or the program reads them as they are.

    Exact: network and tail, one after the other, are identical bit for bit to the whole. The
    program around the network gets other outputs: that is yours to choose.
    """

    saves_bytes = False
    rounding = 0.0

    def matches(self, graph: Graph) -> Iterator[CutMatch]:
        if graph.tail is not None:
            return
        joins = tuple(
            node
            for node in graph.nodes
            if node.op_type == "Concat"
            and graph.is_output(node.output[0])
            and not graph.consumers(node.output[0])
            and all(graph.producer(name) is not None for name in node.input)
            and all(graph.constant(name) is None for name in node.input)
        )
        if joins:
            gone = {node.output[0] for node in joins}
            heads = [name for node in joins for name in node.input]
            kept = [name for name in graph.outputs if name not in gone]
            yield CutMatch(joins, tuple(dict.fromkeys((*heads, *kept))))
