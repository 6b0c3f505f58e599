"""Small changes of a graph that several rewrites make."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.graph.graph import Graph, attribute
from quant.graph.operators import OWN_DOMAINS, subgraphs

Array = NDArray[Any]
Shapes = dict[str, tuple[int, ...]]


def is_a(node: onnx.NodeProto | None, *kinds: str) -> bool:
    """Whether a node is one of ONNX's own operators of these names."""
    return node is not None and node.op_type in kinds and node.domain in OWN_DOMAINS


def repeat(change: Callable[[Graph, onnx.NodeProto], bool], graph: Graph) -> None:
    """Offer every node to `change`, which says whether it changed the graph, until it says no."""
    while _offer_each(change, graph):
        pass


def _offer_each(change: Callable[[Graph, onnx.NodeProto], bool], graph: Graph) -> bool:
    alive, has_changed = {id(node) for node in graph.nodes}, False
    for node in graph.nodes:  # those of now; a change makes another tuple
        if id(node) in alive and change(graph, node):
            alive, has_changed = {id(node) for node in graph.nodes}, True
    return has_changed


def static_shapes(graph: Graph) -> Shapes:
    """The shape of every tensor where all of its lengths are known."""
    names = [*graph.inputs, *(name for node in graph.nodes for name in node.output if name)]
    types = {name: graph.type(name) for name in names}
    return {name: t.static_shape for name, t in types.items() if t is not None and t.is_static}


def only_reader(graph: Graph, tensor: str) -> onnx.NodeProto | None:
    """The one node that reads a tensor, once, unless that is an output too."""
    readers = graph.consumers(tensor)
    if len(readers) != 1 or graph.is_output(tensor) or list(readers[0].input).count(tensor) != 1:
        return None
    return readers[0]


def only_maker(graph: Graph, tensor: str) -> onnx.NodeProto | None:
    """The node that makes a tensor which one node alone reads."""
    return graph.producer(tensor) if only_reader(graph, tensor) is not None else None


def real_constant(graph: Graph, tensor: str) -> Array | None:
    """A constant of float32; None for all else."""
    value = graph.constant(tensor) if tensor else None
    return value if value is not None and value.dtype == np.float32 else None


def number(graph: Graph, node: onnx.NodeProto, position: int) -> float | None:
    """A node's constant input of one element; None for all else."""
    value = real_constant(graph, node.input[position]) if position < len(node.input) else None
    return float(value.reshape(())) if value is not None and value.size == 1 else None


def real_attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    return float(cast(float, attribute(node, name, default)))


def with_inputs(node: onnx.NodeProto, inputs: Iterable[str]) -> onnx.NodeProto:
    """The node, reading other tensors."""
    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.input[:] = list(inputs)
    return made


def bypass(graph: Graph, node: onnx.NodeProto) -> bool:
    """Have a node's input read instead of its first output, and drop it. False: it can't be."""
    gone, kept = node.output[0], node.input[0]
    readers = graph.consumers(gone)
    if graph.is_output(gone) or any(inner for reader in readers for inner in subgraphs(reader)):
        return False
    for reader in readers:
        graph.replace(
            [reader], [with_inputs(reader, (kept if n == gone else n for n in reader.input))]
        )
    graph.replace([node], [])
    return True
