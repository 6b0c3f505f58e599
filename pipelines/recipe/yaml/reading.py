"""Reading values: what is refused, and what a kind of value must be able to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from yaml.nodes import Node

from pipelines.recipe.yaml.paths import Paths
from pipelines.recipe.yaml.tree import Tree, describe


class _Bad:
    """Stands for a value that was refused, so that one mistake gives one message."""

    def __repr__(self) -> str:
        return "BAD"

    def __bool__(self) -> bool:
        return False


BAD: Final = _Bad()


@dataclass
class Reader:
    """What reading needs: the file's tree, and the folder that paths start from.

    unknown: what to say of a key that a section does not have.
    """

    tree: Tree
    paths: Paths
    unknown: Callable[[Any, str], tuple[str, str]]

    def refuse(self, node: Node, what: str, advice: str) -> _Bad:
        self.tree.add(self.tree.where(node), what, advice)
        return BAD

    def wants(self, node: Node, label: str, kind: Kind) -> _Bad:
        """Refuse a value that is of another kind altogether."""
        return self.refuse(node, f"`{label}` can't be {describe(node)}", f"write {kind.words()}")


class Kind(ABC):
    """A kind of value."""

    @abstractmethod
    def read(self, node: Node, label: str, reader: Reader) -> Any:
        """The value of `node`, the value of the key `label`; or BAD."""

    @abstractmethod
    def words(self) -> str:
        """What to write, as in "write a whole number from 7 to 19"."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """JSON Schema (draft 7)."""


def count(number: int, noun: str) -> str:
    """`1 shape`, `2 shapes`."""
    return f"{number} {noun}{'s' * (number != 1)}"
