"""The rule that makes several depthwise convolutions of one with a channel multiplier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from quant.graph.graph import Array, Graph
from quant.graph.names import uses
from quant.rewrites.convolution import groups, multiplier, require_constant, with_groups
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 60

# Of one number make one, whatever its place.
_ACTIVATIONS = frozenset(
    {
        *("Abs", "Celu", "Clip", "Elu", "Exp", "Gelu", "HardSigmoid", "HardSwish", "Identity"),
        *("LeakyRelu", "Log", "Mish", "Neg", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign"),
        *("Sqrt", "Tanh", "ThresholdedRelu"),
    }
)
# Treat every channel alike, whatever its place: between the two convolutions nothing else changes.
_ANY_ORDER = _ACTIVATIONS | frozenset(
    {
        *("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"),
        *("Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"),
    }
)


@dataclass(frozen=True)
class _Region:
    """The Convs that take a depthwise Conv's channels in, directly or by nodes of any order."""

    ends: tuple[onnx.NodeProto, ...]


class SplitDepthwiseMultiplier(Rule[Match]):
    """Splits a depthwise Conv that makes m channels of each into m plain depthwise Convs.

    rknn-toolkit2 runs a depthwise convolution as one only where it makes one channel of each;
    with a multiplier it fills a dense one with zeros. 20 layers 7x7 of 96 channels and multiplier
    2, an ONNX of 2.3 MB, become 19.2 MB on rk3588; split, with `single_core_mode`, 0.9 MB.
    The parts are joined by a Concat, which puts the channels in another order: the Convs that read
    them, after activations and pooling, get their weights' input channels in that order. An
    activation that alone reads the Conv goes with each part, where the toolkit fuses it.

    Exact but for rounding: the products are the same, the reading Convs sum them in another order.
    An output of n products moves by at most n 2^-24 (float32; 2^-11 for float16) of the sum of
    their magnitudes.
    """

    rounding = 2.0**-16

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            if multiplier(graph, node) > 1:
                region = _region(graph, node)
                yield Match((node, *(region.ends if isinstance(region, _Region) else ())))

    def check(self, graph: Graph, match: Match) -> Verdict:
        conv = match.nodes[0]
        if graph.constant(conv.input[1]) is None:
            return Verdict.no("the Conv has no constant weight", conv)
        if _bias(conv) and graph.constant(conv.input[2]) is None:
            return Verdict.no("the Conv has no constant bias", conv)
        found = _region(graph, conv)
        return found if isinstance(found, Verdict) else Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        conv, *ends = match.nodes
        each = multiplier(graph, conv)
        order = np.arange(groups(conv) * each).reshape(-1, each).T.ravel()
        chain = _activations(graph, conv)
        last = [conv, *chain][-1].output[0]
        parts = [
            node
            for place in range(each)
            for node in _with(graph, chain, _part(graph, conv, place, each), place)
        ]
        names = [node.output[0] for node in parts[len(chain) :: 1 + len(chain)]]
        joined = onnx.helper.make_node(
            "Concat", names, [last], f"{conv.name or conv.output[0]}.joined", axis=1
        )
        permuted = [_permuted(graph, end, order) for end in ends]
        for end, made in zip(ends, permuted, strict=True):
            graph.replace([end], [made])
        graph.replace([conv, *chain], [*parts, joined])
        return (*parts, joined, *permuted)


def _activations(graph: Graph, conv: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The nodes behind the Conv, each alone in reading the one before, that suit any part of it."""
    chain = [conv]
    while True:
        tensor = chain[-1].output[0]
        readers = graph.consumers(tensor)
        if len(readers) != 1 or readers[0].op_type not in _ACTIVATIONS:
            return chain[1:]
        if list(readers[0].input).count(tensor) != 1 or readers[0].input[0] != tensor:
            return chain[1:]
        chain.append(readers[0])


def _with(
    graph: Graph, chain: list[onnx.NodeProto], part: onnx.NodeProto, place: int
) -> list[onnx.NodeProto]:
    """A part, and behind it the nodes that stood behind the whole."""
    nodes = [part]
    for node in chain:
        made = onnx.NodeProto()
        made.CopyFrom(node)
        made.name = f"{node.name or node.output[0]}.{place}"
        made.input[0] = nodes[-1].output[0]
        made.output[:] = [graph.fresh_tensor(f"{node.output[0]}.{place}")]
        nodes.append(made)
    return nodes


def _part(graph: Graph, conv: onnx.NodeProto, place: int, each: int) -> onnx.NodeProto:
    """The depthwise Conv that makes each channel's output number `place`."""
    part = with_groups(conv, groups(conv))
    label = f"{conv.output[0]}.{place}"
    part.name = f"{conv.name or conv.output[0]}.{place}"
    part.output[:] = [graph.fresh_tensor(label)]
    weight = require_constant(graph, conv.input[1])[place::each]
    part.input[1] = graph.add_constant(f"{label}.weight", weight)
    if _bias(conv):
        bias = require_constant(graph, conv.input[2])[place::each]
        part.input[2] = graph.add_constant(f"{label}.bias", bias)
    return part


def _permuted(graph: Graph, conv: onnx.NodeProto, order: Array) -> onnx.NodeProto:
    made = onnx.NodeProto()
    made.CopyFrom(conv)
    weight = require_constant(graph, conv.input[1])[:, order]
    made.input[1] = graph.add_constant(f"{conv.output[0]}.weight", weight)
    return made


def _region(graph: Graph, conv: onnx.NodeProto) -> _Region | Verdict:
    """The nodes up to the next Convs, or why their order of channels can't change."""
    reached, ends = {conv.output[0]}, []
    for node in graph.nodes:  # in topological order: one pass reaches all
        if not reached & uses(node):
            continue
        if node.op_type == "Conv" and reached.intersection(node.input) == {node.input[0]}:
            verdict = _check_end(graph, node)
            if not verdict.is_yes:
                return verdict
            ends.append(node)
        elif node.op_type in _ANY_ORDER and _is_any_order(graph, node, reached):
            reached.update(node.output)
        else:
            return Verdict.no(f"a {node.op_type} reads its channels in their order", node)
    for tensor in reached:
        if graph.is_output(tensor):
            maker = graph.producer(tensor) or conv
            return Verdict.no("its channels reach an output of the graph in their order", maker)
    return _Region(tuple(ends)) if ends else Verdict.no("no Conv reads it", conv)


def _is_any_order(graph: Graph, node: onnx.NodeProto, reached: set[str]) -> bool:
    """Whether all that a node reads is `reached`, or one number for all channels."""
    if len([name for name in node.output if name]) > 1:  # MaxPool's indices
        return False
    others = [name for name in node.input if name and name not in reached]
    values = [graph.constant(name) for name in others]
    return any(name in reached for name in node.input) and all(
        value is not None and value.size == 1 for value in values
    )


def _check_end(graph: Graph, conv: onnx.NodeProto) -> Verdict:
    if graph.constant(conv.input[1]) is None:
        return Verdict.no("the Conv that reads it has no constant weight", conv)
    if groups(conv) != 1:
        return Verdict.no("the Conv that reads it has groups", conv)
    return Verdict.yes()


def _bias(conv: onnx.NodeProto) -> bool:
    return len(conv.input) > 2 and bool(conv.input[2])
