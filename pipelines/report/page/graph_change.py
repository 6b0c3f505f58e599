"""What simplify made of a graph: nodes that went and came, in regions that can be drawn.

A node stays where operator and first output are the same before and after. A region is a set of
nodes that went or came and touch one another by a tensor; those of the same operators are told
once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx

_MOST_REGIONS = 4  # kinds of them that are drawn
_MOST_NODES = 28  # of a region, on a side
_SILENT = ("Constant", "Identity")  # told in words: drawn they hide the rest


@dataclass(frozen=True)
class Drawn:
    """One side of a region. nodes: (operator, name, state); edges: from, to, tensor, by place.

    state: changed, or beside: a neighbour that stays. hidden: nodes that are too many to draw.
    """

    nodes: Sequence[tuple[str, str, str]]
    edges: Sequence[tuple[int, int, str]]
    hidden: int


Key = tuple[str, str]


class _Side:
    """One of the two graphs."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.weights = {tensor.name for tensor in graph.initializer}
        self.nodes = [node for node in graph.node if node.output]
        silent = {out for node in self.nodes if node.op_type == "Constant" for out in node.output}
        self.weights |= silent
        self.by_key = {_key(node): node for node in self.nodes}

    def tensors(self, node: onnx.NodeProto) -> set[str]:
        """What it reads and makes, weights left out."""
        return {name for name in (*node.input, *node.output) if name} - self.weights


def _key(node: onnx.NodeProto) -> Key:
    return node.op_type, next((name for name in node.output if name), "")


def make(before: onnx.ModelProto, after: onnx.ModelProto) -> dict[str, Any]:
    """{removed, added: operator -> how many; regions: [{times, removed, added, before, after}]}.

    Operators that only went or only came are told by their own count. Regions: the most frequent
    and largest kinds; `more`: how many kinds are not drawn.
    """
    sides = (_Side(before), _Side(after))
    changed = [
        [node for key, node in side.by_key.items() if key not in other.by_key]
        for side, other in (sides, sides[::-1])
    ]
    kinds = _kinds(sides, changed)
    return {
        "removed": _counted(changed[0]),
        "added": _counted(changed[1]),
        "regions": [_region(sides, parts) for parts in kinds[:_MOST_REGIONS]],
        "more": max(0, len(kinds) - _MOST_REGIONS),
    }


def _counted(nodes: Iterable[onnx.NodeProto]) -> dict[str, int]:
    return dict(Counter(node.op_type for node in nodes).most_common())


Region = tuple[list[onnx.NodeProto], list[onnx.NodeProto]]


def _kinds(
    sides: tuple[_Side, _Side], changed: Sequence[list[onnx.NodeProto]]
) -> list[list[Region]]:
    """Regions of the same operators together, those with the most nodes in all first."""
    by_operators: dict[tuple[Any, Any], list[Region]] = {}
    for region in _regions(sides, changed):
        signature = tuple(tuple(sorted(_counted(nodes).items())) for nodes in region)
        by_operators.setdefault((signature[0], signature[1]), []).append(region)
    return sorted(by_operators.values(), key=lambda group: -sum(map(_length, group)))


def _length(region: Region) -> int:
    return len(region[0]) + len(region[1])


def _regions(
    sides: tuple[_Side, _Side], changed: Sequence[list[onnx.NodeProto]]
) -> Iterator[Region]:
    """Nodes that share a tensor, directly or by others, before or after."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    drawn = [[node for node in nodes if node.op_type not in _SILENT] for nodes in changed]
    for side, nodes in zip(sides, drawn, strict=True):
        for node in nodes:
            first, *others = sorted(side.tensors(node)) or [_key(node)[1]]
            for other in others:
                parent[root(other)] = root(first)
    found: dict[str, Region] = {}
    for i, (side, nodes) in enumerate(zip(sides, drawn, strict=True)):
        for node in nodes:
            name = root(min(side.tensors(node), default=_key(node)[1]))
            found.setdefault(name, ([], []))[i].append(node)
    yield from found.values()


def _region(sides: tuple[_Side, _Side], alike: Sequence[Region]) -> dict[str, Any]:
    first = min(alike, key=_length)
    drawn = [_drawn(side, nodes) for side, nodes in zip(sides, first, strict=True)]
    return {
        "times": len(alike),
        "removed": _counted(first[0]),
        "added": _counted(first[1]),
        "before": _plain(drawn[0]),
        "after": _plain(drawn[1]),
    }


def _drawn(side: _Side, changed: Sequence[onnx.NodeProto]) -> Drawn:
    """The changed nodes, and the nodes beside them that stay."""
    shown = list(changed[:_MOST_NODES])
    own = {id(node) for node in shown}
    read = {name for node in shown for name in node.input} - side.weights
    made = {name for node in shown for name in node.output}
    beside = [
        node
        for node in side.nodes
        if id(node) not in own
        and node.op_type not in _SILENT
        and (read & set(node.output) or made & set(node.input))
    ][:_MOST_NODES]
    nodes = [*shown, *beside]
    makers = {name: i for i, node in enumerate(nodes) for name in node.output}
    edges = [
        (makers[name], i, name)
        for i, node in enumerate(nodes)
        for name in dict.fromkeys(node.input)
        if name in makers and (makers[name] < len(shown) or i < len(shown))
    ]
    states = ["changed"] * len(shown) + ["beside"] * len(beside)
    rows = [
        (node.op_type, node.name or _key(node)[1], state)
        for node, state in zip(nodes, states, strict=True)
    ]
    return Drawn(rows, edges, len(changed) - len(shown))


def _plain(drawn: Drawn) -> Mapping[str, Any]:
    return {"nodes": drawn.nodes, "edges": drawn.edges, "hidden": drawn.hidden}
