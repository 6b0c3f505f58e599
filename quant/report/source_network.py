"""What a report needs to know of a network: nodes by name, their constants, their outputs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple


class Weight(NamedTuple):
    """A constant tensor. is_float: as the network holds it."""

    name: str
    shape: tuple[int, ...]
    is_float: bool

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


class Node(NamedTuple):
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
