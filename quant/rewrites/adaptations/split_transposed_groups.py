"""The rule that makes several transposed convolutions of one in groups."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from quant.graph.graph import Graph
from quant.graph.operators import OWN_DOMAINS
from quant.rewrites.convolution import groups, require_constant, with_groups
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 60


class SplitTransposedGroups(Rule[Match]):
    """Splits a ConvTranspose of several groups, fewer than channels, into one a group.

    rknn-toolkit2 builds one in groups, but analyzes no layer of it in int8. As convolutions of
    their own between a Split and a Concat they are also smaller than as a dense one filled with
    zeros: 55 KB against 73 KB for 4x4 kernels over 64 channels in 2 groups on rk3588.

    Exact but for rounding: every output has the same products to sum, in an order that is the
    runtime's. An output of n products moves by at most n 2^-24 (float32; 2^-11 for float16) of
    the sum of their magnitudes.
    """

    rounding = 2.0**-16

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            is_transposed = node.op_type == "ConvTranspose" and node.domain in OWN_DOMAINS
            if is_transposed and 1 < groups(node) < (_channels(graph, node) or 0):
                yield Match((node,))

    def check(self, graph: Graph, match: Match) -> Verdict:
        (conv,) = match.nodes
        if any(graph.constant(name) is None for name in conv.input[1:] if name):
            return Verdict.no("its weight or bias is not constant", conv)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        (conv,) = match.nodes
        count = groups(conv)
        hint = conv.output[0]
        parts = [graph.fresh_tensor(f"{hint}.part{i}") for i in range(count)]
        made = [_part(graph, conv, i, parts[i]) for i in range(count)]
        ends = [node.output[0] for node in made]
        concat = onnx.helper.make_node("Concat", ends, [hint], f"{hint}.joined", axis=1)
        nodes = [_split(graph, conv, parts), *made, concat]
        graph.replace(match.nodes, nodes)
        return tuple(nodes)


def _channels(graph: Graph, conv: onnx.NodeProto) -> int | None:
    """Input channels: the first length of [in, out / groups, ...]."""
    found = graph.type(conv.input[1])
    return found.static_shape[0] if found is not None and found.is_static else None


def _split(graph: Graph, conv: onnx.NodeProto, parts: list[str]) -> onnx.NodeProto:
    each = [(_channels(graph, conv) or 0) // len(parts)] * len(parts)
    name = f"{conv.output[0]}.split"
    if graph.opset < 13:
        return onnx.helper.make_node("Split", [conv.input[0]], parts, name, axis=1, split=each)
    lengths = graph.add_constant(f"{name}.lengths", np.array(each, np.int64))
    return onnx.helper.make_node("Split", [conv.input[0], lengths], parts, name, axis=1)


def _part(graph: Graph, conv: onnx.NodeProto, index: int, tensor: str) -> onnx.NodeProto:
    """The group number `index` by itself, reading `tensor`."""
    hint = f"{conv.output[0]}.{index}"
    weight = np.split(require_constant(graph, conv.input[1]), groups(conv))[index]
    part = with_groups(conv, 1)
    part.name, part.output[:] = hint, [graph.fresh_tensor(hint)]
    part.input[:2] = [tensor, graph.add_constant(f"{hint}.weight", weight)]
    if len(conv.input) > 2 and conv.input[2]:
        bias = np.split(require_constant(graph, conv.input[2]), groups(conv))[index]
        part.input[2] = graph.add_constant(f"{hint}.bias", bias)
    return part
