"""The rule that leaves what follows the last layers with weights to the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx

from quant.graph.graph import Graph
from quant.graph.names import uses
from quant.graph.operators import OWN_DOMAINS
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 10

# What an NPU is for: weights, sums over space, normalization.
_WORK = frozenset(
    {
        *("Conv", "ConvTranspose", "DeformConv", "Gemm", "MatMul", "Einsum", "GRU", "LSTM", "RNN"),
        *("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "MaxPool"),
        *("BatchNormalization", "GroupNormalization", "InstanceNormalization"),
        *("LayerNormalization", "LRN", "Attention"),
    }
)
# Compilers fuse these into the node before them.
_FUSED = frozenset({"Relu", "Clip", "LeakyRelu", "PRelu"})
_ONLY_SHAPE = frozenset({"Constant", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


@dataclass(frozen=True)
class CutMatch(Match):
    """nodes: the tail, in graph order. heads: the tensors that the network puts out without it."""

    heads: tuple[str, ...]


class CutPostprocessing(Rule[CutMatch]):
    """Ends the network at its heads: the rest becomes an ONNX file of its own, for the CPU.

    Decoding of boxes, sigmoids and softmaxes after the last convolution, dense layer or pooling
    are a small share of the work, but lie badly for an NPU: layouts change, small layers of many
    register commands follow each other, and coordinates and scores share one int8 scale. A face
    detector of 40.2 MB is 0.79 MB without them. `simplify/tail.onnx` takes the network's new
    outputs, by their names, and makes the former ones; onnxruntime runs it on any CPU. An
    activation that is fused into its layer stays with that; the convolution with which YOLO's DFL
    takes means of softmaxes goes with the rest.

    Exact: network and tail, one after the other, are identical bit for bit to the whole. Outputs
    have other names and shapes, which is why no rewrite but this one needs the program around the
    network to change.
    """

    rounding = 0.0

    def matches(self, graph: Graph) -> Iterator[CutMatch]:
        tail = _tail(graph)
        if any(node.op_type not in _ONLY_SHAPE for node in tail):
            yield CutMatch(tail, _heads(graph, tail))

    def check(self, graph: Graph, match: CutMatch) -> Verdict:
        for node in match.nodes:
            for name in uses(node) & set(graph.inputs):
                return Verdict.no(f"it reads the network's input `{name}`", node)
        for name in match.heads:
            type_ = graph.type(name)
            if type_ is None or not type_.is_static:
                reader = graph.consumers(name)[0]
                return Verdict.no(f"the shape of `{name}` is not known", reader)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: CutMatch) -> tuple[onnx.NodeProto, ...]:
        graph.cut(match.nodes, match.heads)
        return ()


def _tail(graph: Graph) -> tuple[onnx.NodeProto, ...]:
    """The nodes that no work depends on, and that are none."""
    work: set[str] = set()  # outputs of nodes that do work
    for node in graph.nodes:
        if _is_work(graph, node) or (node.op_type in _FUSED and node.input[0] in work):
            work.update(node.output)
    tail: set[str] = set()
    for node in reversed(graph.nodes):
        readers = [reader for name in node.output for reader in graph.consumers(name)]
        if work.isdisjoint(node.output) and all(tail & set(reader.output) for reader in readers):
            tail.update(name for name in node.output if name)
    return tuple(node for node in graph.nodes if tail & set(node.output))


def _is_work(graph: Graph, node: onnx.NodeProto) -> bool:
    if node.op_type not in _WORK or node.domain not in OWN_DOMAINS:
        return False
    return not (node.op_type == "Conv" and _is_softmax(graph, node.input[0]))


def _is_softmax(graph: Graph, tensor: str) -> bool:
    """Whether a tensor is a softmax, but for its layout."""
    node = graph.producer(tensor)
    while node is not None and node.op_type in (*_ONLY_SHAPE, "Transpose") and node.input:
        node = graph.producer(node.input[0])
    return node is not None and node.op_type == "Softmax"


def _heads(graph: Graph, tail: tuple[onnx.NodeProto, ...]) -> tuple[str, ...]:
    """What the tail reads and the outputs that are not its own, in the order of their making."""
    own = {name for node in tail for name in node.output}
    wanted = {name for node in tail for name in uses(node)} | set(graph.outputs)
    made = [name for node in graph.nodes for name in node.output]
    return tuple(name for name in made if name in wanted - own)
