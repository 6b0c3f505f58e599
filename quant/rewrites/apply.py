"""Applying a rule to a graph until it finds nothing more to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from quant.graph.graph import Graph
from quant.graph.operators import label
from quant.rewrites.rule import Match, Rule

M = TypeVar("M", bound=Match)


@dataclass(frozen=True)
class Fired:
    """One rewrite that was made: the nodes that are gone and those in their place, by label."""

    rule: str
    nodes: tuple[str, ...]
    became: tuple[str, ...]


@dataclass(frozen=True)
class Refused:
    """One place where the pattern was found and the rule said no, and which node is the reason."""

    rule: str
    node: str
    because_of: str
    reason: str


@dataclass(frozen=True)
class Applied:
    fired: tuple[Fired, ...]
    refused: tuple[Refused, ...]


def apply(rule: Rule[M], graph: Graph) -> Applied:
    """Rewrite `graph` in place, one match at a time, until every match left is refused."""
    fired: list[Fired] = []
    while True:
        made, refused = _first(rule, graph)
        if made is None:
            return Applied(tuple(fired), refused)
        fired.append(made)


def _first(rule: Rule[M], graph: Graph) -> tuple[Fired | None, tuple[Refused, ...]]:
    """Rewrite the first match that the rule accepts; or say why it accepts none."""
    refused = []
    for match in rule.matches(graph):
        gone = tuple(map(label, match.nodes))
        verdict = rule.check(graph, match)
        if verdict.is_yes:
            became = tuple(map(label, rule.rewrite(graph, match)))
            return Fired(rule.name, gone, became), ()
        refused.append(Refused(rule.name, gone[0], verdict.node, verdict.reason))
    return None, tuple(refused)
