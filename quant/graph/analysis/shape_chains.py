"""Chains of nodes that only compute shapes: `Shape -> Slice -> Concat -> Reshape` and the like.

Exporters write them so that a graph fits inputs of any size. With sizes fixed they are constants,
and an NPU can't run them: they are what `simplify` is there to remove.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx

from quant.graph.graph import Graph
from quant.graph.operators import label, operator

# Operator -> the inputs that are shapes, sizes, axes or indices, not data.
_SHAPE_INPUTS: Mapping[str, frozenset[int]] = {
    **{name: frozenset({1}) for name in ("Expand", "Reshape", "Tile", "TopK", "Split")},
    **{name: frozenset({1}) for name in ("Squeeze", "Unsqueeze", "ReduceSum", "CenterCropPad")},
    "ConstantOfShape": frozenset({0}),
    "OneHot": frozenset({1}),
    "Pad": frozenset({1, 3}),
    "Range": frozenset({0, 1, 2}),
    "Resize": frozenset({1, 2, 3}),
    "Slice": frozenset({1, 2, 3, 4}),
    "Upsample": frozenset({1}),
}
_READS_SHAPE = frozenset({"Shape", "Size"})
_RANDOM = frozenset({"Bernoulli", "Multinomial", "RandomNormalLike", "RandomUniformLike"})


@dataclass(frozen=True)
class ShapeChain:
    """Nodes that compute one input of a consumer from shapes and constants alone.

    nodes: labels in graph order, Constant nodes left out. operators: their counts. tensors: what
    the nodes make. shape_of: tensors whose shape is read; made_by: the nodes that make those
    (inputs of the graph have none). consumer: the node that is fed, at its input number `input`.
    """

    nodes: tuple[str, ...]
    operators: Mapping[str, int]
    tensors: tuple[str, ...]
    shape_of: tuple[str, ...]
    made_by: tuple[str, ...]
    consumer: str
    consumer_operator: str
    input: int


def shape_chains(graph: Graph) -> tuple[ShapeChain, ...]:
    """Every maximal chain, in the order of its consumer.

    A chain is all that an input of a consumer depends on, where that is only Shape and Size of some
    tensors, and constants. It ends at the first node that reads real data too. Chains that read no
    shape count where they end in a shape input (the second of Reshape, say); else they are weights.
    """
    members = _members(graph)
    return tuple(
        chain
        for consumer in graph.nodes
        if id(consumer) not in members
        for chain in _chains_into(graph, members, consumer)
    )


def _members(graph: Graph) -> set[int]:
    """ids of the nodes whose value is known once shapes are; Constant nodes among them."""
    found: set[int] = set()
    for node in graph.nodes:
        if node.op_type in _READS_SHAPE or _all_known(graph, node, found):
            found.add(id(node))
    return found


def _all_known(graph: Graph, node: onnx.NodeProto, members: set[int]) -> bool:
    if any(a.HasField("g") or a.graphs for a in node.attribute):
        return False  # a loop or a branch is no helper chain
    if node.op_type in _RANDOM or (not node.input and node.op_type != "Constant"):
        return False
    return all(_is_known(graph, name, members) for name in node.input if name)


def _is_known(graph: Graph, tensor: str, members: set[int]) -> bool:
    producer = graph.producer(tensor)
    if producer is not None:
        return id(producer) in members
    return graph.constant(tensor) is not None


def _chains_into(graph: Graph, members: set[int], consumer: onnx.NodeProto) -> Iterator[ShapeChain]:
    for number, tensor in enumerate(consumer.input):
        nodes = _ancestors(graph, members, tensor)
        reads_shape = any(node.op_type in _READS_SHAPE for node in nodes)
        is_shape_input = number in _SHAPE_INPUTS.get(consumer.op_type, ())
        if nodes and (reads_shape or is_shape_input):
            yield _chain(graph, nodes, consumer, number)


def _ancestors(graph: Graph, members: set[int], tensor: str) -> list[onnx.NodeProto]:
    """The members that `tensor` depends on, in graph order, Constant nodes left out."""
    found: dict[int, onnx.NodeProto] = {}
    waiting = [tensor]
    while waiting:
        node = graph.producer(waiting.pop())
        if node is None or id(node) not in members or id(node) in found:
            continue
        found[id(node)] = node
        if node.op_type not in _READS_SHAPE:
            waiting.extend(node.input)
    return [n for n in graph.nodes if id(n) in found and n.op_type != "Constant"]


def _chain(
    graph: Graph, nodes: list[onnx.NodeProto], consumer: onnx.NodeProto, number: int
) -> ShapeChain:
    read = dict.fromkeys(node.input[0] for node in nodes if node.op_type in _READS_SHAPE)
    makers = [maker for name in read if (maker := graph.producer(name)) is not None]
    return ShapeChain(
        nodes=tuple(map(label, nodes)),
        operators=dict(sorted(Counter(map(operator, nodes)).items())),
        tensors=tuple(name for node in nodes for name in node.output if name),
        shape_of=tuple(read),
        made_by=tuple(dict.fromkeys(map(label, makers))),
        consumer=label(consumer),
        consumer_operator=operator(consumer),
        input=number,
    )
