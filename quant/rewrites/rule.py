"""What a rewrite rule is: a pattern, a check whose refusal has a reason, and the rewrite.

A rule is one file in named/, cuts/ or adaptations/. Its class docstring is its documentation: first
line what it does, then why, and how exact it is. PLACE of the file: where it stands among others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import onnx

from quant.graph.graph import Graph
from quant.graph.operators import label


@dataclass(frozen=True)
class Verdict:
    """Whether a match may be rewritten. reason: why not, empty where it may; node: whose fault."""

    reason: str = ""
    node: str = ""

    @classmethod
    def yes(cls) -> Verdict:
        return cls()

    @classmethod
    def no(cls, reason: str, node: onnx.NodeProto) -> Verdict:
        return cls(reason, label(node))

    @property
    def is_yes(self) -> bool:
        return not self.reason


@dataclass(frozen=True)
class Match:
    """One place where a rule's pattern was found. Rules may add fields of their own.

    nodes: those that the rewrite would replace; the first is the one that the rule is about.
    """

    nodes: tuple[onnx.NodeProto, ...]


M = TypeVar("M", bound=Match)


class Rule(ABC, Generic[M]):
    """One rewrite of graphs. Subclasses are stateless; their docstring is their documentation."""

    saves_bytes = True
    """Whether it may make the compiled file smaller; some are for accuracy alone."""
    rounding: float
    """Largest change of an output, as a share of its largest magnitude: rounding in float32, or 0
    for a rule that changes no bit."""

    @property
    def name(self) -> str:
        """Its file's."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def matches(self, graph: Graph) -> Iterable[M]:
        """The pattern: every place worth a look, in graph order. A node may be in several."""

    @abstractmethod
    def check(self, graph: Graph, match: M) -> Verdict:
        """Whether the rewrite is right here. A refusal names its reason and the node at fault."""

    @abstractmethod
    def rewrite(self, graph: Graph, match: M) -> tuple[onnx.NodeProto, ...]:
        """Change the graph. Returns the nodes that stand in the place of the match's.

        Called only after `check` said yes. Graph outputs keep their names, shapes and types.
        """
