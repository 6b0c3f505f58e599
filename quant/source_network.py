"""What a report needs to know of an ONNX network: nodes by name, their constants, their outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from quant.graph_names import uses
from quant.graph_weights import constants
from quant.operators import label, operator


@dataclass(frozen=True)
class Weight:
    """A constant tensor. is_float: as the network holds it."""

    name: str
    shape: tuple[int, ...]
    is_float: bool

    @property
    def elements(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Node:
    """inputs: names of tensors, empty for one that is left out. reads: what subgraphs take too."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    reads: frozenset[str]
    group: int


class SourceNetwork:
    """Nodes, their constants by name, and the names of the outputs."""

    def __init__(
        self, nodes: Sequence[Node], weights: Mapping[str, Weight], outputs: Sequence[str]
    ) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.weights = weights
        self.outputs = tuple(outputs)
        self._makers = {name: node for node in nodes for name in node.outputs if name}
        self._readers: dict[str, list[Node]] = {}
        for node in nodes:
            for name in node.reads:
                self._readers.setdefault(name, []).append(node)

    @classmethod
    def of(cls, model: onnx.ModelProto) -> SourceNetwork:
        """The main graph of a model. Constant nodes count as weights."""
        nodes = [_node(node) for node in model.graph.node if node.op_type != "Constant"]
        weights = {name: _weight(name, tensor) for name, tensor in constants(model)}
        return cls(nodes, weights, [value.name for value in model.graph.output])

    def maker(self, tensor: str) -> Node | None:
        """The node that makes a tensor."""
        return self._makers.get(tensor)

    def readers(self, tensor: str) -> Sequence[Node]:
        """The nodes that read a tensor."""
        return self._readers.get(tensor, ())

    def weight(self, node: Node, index: int) -> Weight | None:
        """The constant at one of a node's inputs."""
        name = node.inputs[index] if index < len(node.inputs) else ""
        return self.weights.get(name)

    def node_weights(self, node: Node) -> Iterator[Weight]:
        for name in node.inputs:
            if name in self.weights:
                yield self.weights[name]

    def only_for(self, output: str) -> set[str]:
        """Names of the nodes that no other output of the network needs."""
        others = [name for name in self.outputs if name != output]
        return self._needed([output]) - self._needed(others)

    def _needed(self, tensors: Sequence[str]) -> set[str]:
        found: set[str] = set()
        left = list(tensors)
        while left:
            node = self.maker(left.pop())
            if node and node.name not in found:
                found.add(node.name)
                left += node.reads
        return found


def _weight(name: str, tensor: onnx.TensorProto) -> Weight:
    floats = (
        *(onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16),
        onnx.TensorProto.BFLOAT16,
    )
    return Weight(name, tuple(tensor.dims), tensor.data_type in floats)


def _node(node: onnx.NodeProto) -> Node:
    group = next((one.i for one in node.attribute if one.name == "group"), 1)
    return Node(
        name=label(node),
        op=operator(node),
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        reads=frozenset(uses(node)),
        group=int(group),
    )
