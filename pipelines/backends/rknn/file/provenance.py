"""Which node of the network a layer or a tensor of the compiled file came from.

The SDK's rewrites name what they add after what they take away: `X#1`, `X_2conv0`, `X_tile0`,
`X_group_7`, and `T_rs`, `T-rs` for reshapes of a tensor T; its log tells which came from which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from quant.report.source_network import Node, SourceNetwork
from quant.rknn.file import Operator

# `T-rs` is what an operator that was made four-dimensional gives: T, its own output, again.
RESHAPED_OUTPUT = re.compile(r"(?P<tensor>.+)-rs(?:#\d+)?")


class Provenance:
    """rules: of build.json. graphs: operators of the compiled file."""

    def __init__(
        self,
        network: SourceNetwork,
        rules: Sequence[Mapping[str, Any]],
        graphs: Sequence[Sequence[Operator]],
    ) -> None:
        self._network = network
        self._parents: dict[str, list[str]] = {}
        for rule in rules:
            for name in rule["added"]:
                self._parents.setdefault(name, []).extend(_parents(rule))
        self._operators = [[self._of_operator(one) for one in graph] for graph in graphs]
        self._asked: dict[str, Node | None] = {}
        self._tensors: dict[str, Node] = {}
        for graph, nodes in zip(graphs, self._operators, strict=True):
            self._tensors |= _makers_and_readers(graph, nodes)

    def of_operator(self, graph: int, index: int) -> Node | None:
        return self._operators[graph][index]

    def of_tensor(self, name: str) -> Node | None:
        """The node of the layer that makes or uses it, else that its name stands for."""
        if name not in self._asked:
            self._asked[name] = self._of_tensor(name)
        return self._asked[name]

    def of_name(self, name: str, seen: frozenset[str] = frozenset()) -> Node | None:
        """The node whose name it is, that a rule made it from, or that makes a tensor of that name;
        else the same for the name up to its last mark.
        """
        if name in self._network.nodes:
            return self._network.nodes[name]
        parents = [parent for parent in self._parents.get(name, ()) if parent not in seen]
        found = (self.of_name(parent, seen | {name}) for parent in parents)
        node = next((node for node in found if node), None) or self._network.maker(name)
        if node:
            return node
        if name in self._network.weights and self._network.readers(name):
            return self._network.readers(name)[0]
        shorter = _shortened(name)
        return self.of_name(shorter, seen | {name}) if shorter else None

    def _of_tensor(self, name: str) -> Node | None:
        shorter = name
        while shorter:
            if shorter in self._tensors:
                return self._tensors[shorter]
            shorter = _shortened(shorter)
        return self.of_name(name)

    def _of_operator(self, operator: Operator) -> Node | None:
        name = operator.name.partition(":")[2]
        candidates = (name, *operator.outputs, *operator.inputs)
        found = (self.of_name(candidate) for candidate in candidates if candidate)
        return next((node for node in found if node), None)


def _makers_and_readers(graph: Sequence[Operator], nodes: Sequence[Node | None]) -> dict[str, Node]:
    """Tensor -> the node of the layer that makes it, or of the first that reads it."""
    found: dict[str, Node] = {}
    for operator, node in zip(graph, nodes, strict=True):
        if node:
            found |= {name: node for name in operator.inputs if name not in found}
    for operator, node in zip(graph, nodes, strict=True):
        if node:
            found |= dict.fromkeys(operator.outputs, node)
    return found


def _parents(rule: Mapping[str, Any]) -> Sequence[str]:
    """What a rule's new names stand for: nodes that it took away, else whose output it shapes."""
    if rule["removed"]:
        return list(rule["removed"])
    matches = (RESHAPED_OUTPUT.fullmatch(name) for name in rule["added"])
    return [match["tensor"] for match in matches if match]


def _shortened(name: str) -> str:
    """The name up to its last mark: `/2/Conv#1_tile0` -> `/2/Conv#1`."""
    place = max(name.rfind("#"), name.rfind("_"), name.rfind("-"))
    return name[:place] if place > 0 else ""
