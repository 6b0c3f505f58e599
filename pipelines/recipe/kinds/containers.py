"""Kinds of values that hold others: lists, mappings, one kind or another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pipelines.recipe.kinds.scalars import Number
from pipelines.recipe.yaml.reading import BAD, Kind, Reader, count
from pipelines.recipe.yaml.scalars import scalar
from pipelines.recipe.yaml.tree import FORBIDDEN_KEYS


@dataclass(frozen=True)
class Nullable(Kind):
    """Another kind, or null."""

    of: Kind

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        if isinstance(node, ScalarNode) and scalar(node) is None:
            return None
        return self.of.read(node, label, reader)

    def words(self) -> str:
        return f"{self.of.words()}, or null"

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.of.schema(), {"type": "null"}]}


@dataclass(frozen=True)
class ListOf(Kind):
    item: Kind
    at_least: int = 0
    exactly: int | None = None
    unique: bool = False
    example: str = ""

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        if not isinstance(node, SequenceNode):
            return reader.wants(node, label, self)
        length = len(node.value)
        if length < self.at_least or (self.exactly is not None and length != self.exactly):
            what = f"`{label}` has {count(length, 'item')}"
            return reader.refuse(node, what, f"write {self.words()}")
        for item in node.value if isinstance(self.item, ListOf) else ():
            if not isinstance(item, SequenceNode):
                return reader.wants(item, label, self)
        values = [self.item.read(item, label, reader) for item in node.value]
        if self.unique and not self._is_unique(node, values, label, reader):
            return BAD
        return BAD if any(value is BAD for value in values) else values

    def _is_unique(self, node: Node, values: list[Any], label: str, reader: Reader) -> bool:
        for i, value in enumerate(values):
            if value is not BAD and value in values[:i]:
                what = f"`{label}` names `{value}` twice"
                return bool(reader.refuse(node.value[i], what, "keep one of them"))
        return True

    def words(self) -> str:
        if self.example:
            return f"a list, such as `{self.example}`"
        if self.exactly is not None:
            return f"a list of {self.exactly}, each {self.item.words()}"
        return f"a list{', at least one' * bool(self.at_least)}: {self.item.words()}"

    def schema(self) -> dict[str, Any]:
        low = self.at_least if self.exactly is None else self.exactly
        return {
            "type": "array",
            "items": self.item.schema(),
            **({"minItems": low} if low else {}),
            **({} if self.exactly is None else {"maxItems": self.exactly}),
            **({"uniqueItems": True} if self.unique else {}),
        }


@dataclass(frozen=True)
class MapOf(Kind):
    """A mapping with keys of the user's choice. key: what they are, such as `tensor`."""

    key: str
    item: Kind
    at_least: int = 0
    example: str = ""

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        if isinstance(node, ScalarNode) and scalar(node) is None and not self.at_least:
            return {}
        if not isinstance(node, MappingNode):
            return reader.wants(node, label, self)
        members = reader.tree.members(node)
        if len(members) < self.at_least:
            return reader.refuse(node, f"`{label}` is empty", f"write {self.words()}")
        return {key.value: self.item.read(value, key.value, reader) for key, value in members}

    def words(self) -> str:
        if self.example:
            return f"a mapping, such as `{self.example}`"
        return f"a mapping, {self.key}: {self.item.words()}"

    def schema(self) -> dict[str, Any]:
        names = {"not": {"enum": list(FORBIDDEN_KEYS)}}
        least = {"minProperties": self.at_least} if self.at_least else {}
        return {
            "type": "object" if self.at_least else ["object", "null"],
            "propertyNames": names,
            "additionalProperties": self.item.schema(),
            **least,
        }


@dataclass(frozen=True)
class Array(Kind):
    """Numbers in lists of lists, as many levels as there are axes, and as long in every row."""

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        if not isinstance(node, SequenceNode) or not node.value:
            return reader.wants(node, label, self)
        if all(isinstance(item, SequenceNode) for item in node.value):
            values = [self.read(item, label, reader) for item in node.value]
        else:
            values = [Number().read(item, label, reader) for item in node.value]
        if BAD in values:
            return BAD
        if len({_lengths(value) for value in values}) > 1:
            return reader.refuse(node, f"the rows of `{label}` differ in length", _EQUAL_ROWS)
        return values

    def words(self) -> str:
        return "an array, such as `[[[0.5, 0.5]]]`"

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "minItems": 1}


_EQUAL_ROWS = "write an array of one shape, such as `[[1, 2], [3, 4]]`"


def _lengths(value: Any) -> tuple[int, ...]:
    """The shape of an array whose rows are known to be alike."""
    return (len(value), *_lengths(value[0])) if isinstance(value, list) else ()


@dataclass(frozen=True)
class Data(Kind):
    """Any plain data: the project hands it on as it is."""

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        if isinstance(node, ScalarNode):
            return scalar(node)
        if isinstance(node, SequenceNode):
            return [self.read(item, label, reader) for item in node.value]
        members = reader.tree.members(node)
        return {key.value: self.read(value, label, reader) for key, value in members}

    def words(self) -> str:
        return "any value"

    def schema(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class Either(Kind):
    """One kind for a scalar, another for a list, another for a mapping."""

    scalar: Kind | None = None
    sequence: Kind | None = None
    mapping: Kind | None = None

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        kind = self.mapping
        if isinstance(node, (ScalarNode, SequenceNode)):
            kind = self.scalar if isinstance(node, ScalarNode) else self.sequence
        return kind.read(node, label, reader) if kind else reader.wants(node, label, self)

    def _kinds(self) -> list[Kind]:
        return [kind for kind in (self.scalar, self.sequence, self.mapping) if kind]

    def words(self) -> str:
        return "; or ".join(kind.words() for kind in self._kinds())

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [kind.schema() for kind in self._kinds()]}
