"""The rule that joins SSD heads on an axis that the NPU does not pad."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from quant.graph.graph import Graph, attribute
from quant.graph.operators import OWN_DOMAINS
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 40

# Channels lie in groups of 16 bytes in the NPU's memory (NC1HWC2).
_ALIGNMENT = 16


class ConcatOnSpatialAxis(Rule[Match]):
    """Joins tensors [1, n, k] along a spatial axis instead of along the channels.

    rknn-toolkit2 takes axis 1 for channels. Where parts of a Concat on it are no multiples of 16
    long, as SSD heads mostly are, it compiles a 1x1 convolution with an identity matrix of N x N
    weights, N being the joined length: 19.6 MB for 4420 boxes, twice, in a face detector of 1.3 MB.
    The same bytes come out of Reshape to [1, 1, n, k], Concat on axis 2 and Reshape back, for which
    it needs no weights. Tensors [1, n, 1, k] become so too where a Reshape or Squeeze makes three
    axes of the result; without that the toolkit undoes the rewrite.

    Exact: the outputs are identical bit for bit, for only shapes change.
    """

    rounding = 0.0

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            if node.op_type == "Concat" and node.domain in OWN_DOMAINS:
                shape = _shape(graph, node.output[0])
                rank = len(shape or ())
                if rank in (3, 4) and attribute(node, "axis") in (1, 1 - rank):
                    yield Match((node,))

    def check(self, graph: Graph, match: Match) -> Verdict:
        (concat,) = match.nodes
        shapes = [_shape(graph, name) for name in concat.input]
        if any(shape is None for shape in shapes):
            return Verdict.no("an input's shape is not known", concat)
        known = [shape for shape in shapes if shape is not None]
        if known[0][0] != 1:
            return Verdict.no(f"the batch is {known[0][0]}, not 1", concat)
        if len(known) < 2:
            return Verdict.no("it joins nothing: it has one input", concat)
        if all(shape[1] % _ALIGNMENT == 0 for shape in known):
            return Verdict.no(f"every part has a multiple of {_ALIGNMENT} channels", concat)
        if len(known[0]) == 4 and not _becomes_flat(graph, concat):
            return Verdict.no(
                "its output stays of four axes, where the toolkit undoes this rewrite", concat
            )
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        (concat,) = match.nodes
        last = int(np.prod(_known(graph, concat.output[0])[2:]))
        made, parts = [], []
        for number, name in enumerate(concat.input):
            length = _known(graph, name)[1]
            label = f"{concat.name or concat.output[0]}.part{number}"
            made.append(_reshape(graph, name, graph.fresh_tensor(label), (1, 1, length, last)))
            parts.append(made[-1].output[0])
        joined = graph.fresh_tensor(f"{concat.output[0]}.joined")
        made.append(onnx.helper.make_node("Concat", parts, [joined], concat.name, axis=2))
        made.append(
            _reshape(graph, joined, concat.output[0], _known(graph, concat.output[0]), ".back")
        )
        graph.replace(match.nodes, made)
        return tuple(made)


def _becomes_flat(graph: Graph, concat: onnx.NodeProto) -> bool:
    """Whether only nodes read a tensor of rank 4 that make three axes of it."""
    readers = graph.consumers(concat.output[0])
    if graph.is_output(concat.output[0]) or not readers:
        return False
    return all(
        node.op_type in ("Reshape", "Squeeze", "Flatten")
        and len(_shape(graph, node.output[0]) or ()) == 3
        for node in readers
    )


def _reshape(
    graph: Graph, name: str, made: str, shape: tuple[int, ...], suffix: str = ""
) -> onnx.NodeProto:
    target = graph.add_constant(f"{made}.shape", np.array(shape, np.int64))
    return onnx.helper.make_node("Reshape", [name, target], [made], f"{made}{suffix}")


def _shape(graph: Graph, tensor: str) -> tuple[int, ...] | None:
    found = graph.type(tensor)
    return found.static_shape if found is not None and found.is_static else None


def _known(graph: Graph, tensor: str) -> tuple[int, ...]:
    shape = _shape(graph, tensor)
    if shape is None:
        raise ValueError(f"the shape of `{tensor}` is not known, though `check` found it so")
    return shape
