"""Sections: mappings whose keys are known, and the rules of which keys go together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode

from pipelines.files.where import nearest
from pipelines.recipe.yaml.reading import BAD, Kind, Reader
from pipelines.recipe.yaml.scalars import scalar
from pipelines.recipe.yaml.tree import FORBIDDEN_KEYS


@dataclass(frozen=True)
class Key:
    """One key of a section. only_with: it means something beside one of these keys only."""

    kind: Kind
    doc: str
    required: bool = False
    only_with: tuple[str, ...] = ()
    reason: str = ""  # why only with those


UnknownKey = Callable[["Section", str], "tuple[str, str]"]


@dataclass(frozen=True)
class Section(Kind):
    """A mapping with known keys.

    name: how messages and the reference call it. defaults: key -> value where it is not written.
    one_of: exactly one of these must be written; at_most_one_of: no two of these. unknown: what
    to say of a key it does not have; the reader says it where left out.
    """

    name: str
    doc: str
    example: str
    keys: Mapping[str, Key]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    one_of: tuple[str, ...] = ()
    at_most_one_of: tuple[str, ...] = ()
    unknown: UnknownKey | None = None

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        """Key -> value of the keys that are written, BAD where a value was refused."""
        if isinstance(node, ScalarNode) and scalar(node) is None:
            members: Sequence[tuple[ScalarNode, Node]] = ()
        elif not isinstance(node, MappingNode):
            return reader.wants(node, label, self)
        else:
            members = reader.tree.members(node)
        found: dict[str, Any] = {}
        for key, value in members:
            definition = self.keys.get(key.value)
            if definition is None:
                self._refuse_key(key, found, reader)
            else:
                found[key.value] = definition.kind.read(value, key.value, reader)
        written = {key.value: key for key, _ in members}
        self._check_required(node, found, label, reader)
        self._check_company(node, written, label, reader)
        return found

    def _refuse_key(self, key: ScalarNode, found: dict[str, Any], reader: Reader) -> None:
        """Refuse an unknown key. The key that was meant counts as refused, not as missing."""
        near = nearest(key.value, self.keys)
        if near is not None:
            found.setdefault(near, BAD)
        if key.value and key.value not in FORBIDDEN_KEYS:  # the tree refused those already
            unknown = self.unknown or reader.unknown
            reader.refuse(key, *unknown(self, key.value))

    def _check_required(
        self, node: Node, found: Mapping[str, Any], label: str, reader: Reader
    ) -> None:
        place = f"`{label}`" if label else "the recipe"
        for name, key in self.keys.items():
            if key.required and name not in found:
                what = f"{place} lacks the key `{name}`"
                reader.refuse(node, what, f"add `{name}:` and {key.kind.words()}")
        if self.one_of and not any(name in found for name in self.one_of):
            what = f"{place} names none of {', '.join(self.one_of)}"
            reader.refuse(node, what, f"add one of them, such as `{self.one_of[0]}:`")

    def _check_company(
        self, node: Node, written: Mapping[str, Node], label: str, reader: Reader
    ) -> None:
        """Keys that exclude each other, and keys without effect beside the others."""
        together = [name for name in self.one_of or self.at_most_one_of if name in written]
        for name in together[1:]:
            what = f"`{name}` and `{together[0]}` can't stand together"
            reader.refuse(written[name], what, f"keep one of {', '.join(together)}")
        if self.one_of and not together:
            return
        for name, key in self.keys.items():
            if name in written and key.only_with and not set(key.only_with) & set(written):
                what = f"`{name}` has no effect here: {key.reason}"
                reader.refuse(written[name], what, "delete it")

    def words(self) -> str:
        return f"a mapping, such as `{self.example}`"

    def schema(self) -> dict[str, Any]:
        return {"allOf": [{"$ref": f"#/definitions/{self.slug}"}]}

    @property
    def slug(self) -> str:
        """The section's name in the JSON Schema."""
        return self.name.lower().replace(": ", "-") or "recipe"

    def body(self) -> dict[str, Any]:
        """The section's own JSON Schema, which `schema` refers to."""
        required = [name for name, key in self.keys.items() if key.required]
        company = {n: _any_of(k.only_with) for n, k in self.keys.items() if k.only_with}
        company |= {name: {"not": _any_of(self._others(name))} for name in self.at_most_one_of}
        return {
            "type": "object" if required or self.one_of else ["object", "null"],
            "description": self.doc,
            "properties": {name: self._property(name, key) for name, key in self.keys.items()},
            "additionalProperties": False,
            **({"required": required} if required else {}),
            **({"dependencies": company} if company else {}),
            **({"oneOf": [{"required": [n]} for n in self.one_of]} if self.one_of else {}),
        }

    def _others(self, name: str) -> list[str]:
        return [other for other in self.at_most_one_of if other != name]

    def _property(self, name: str, key: Key) -> dict[str, Any]:
        default = self.defaults.get(name)
        shown = isinstance(default, (str, int, float)) or (isinstance(default, list) and default)
        return {
            **key.kind.schema(),
            "description": key.doc,
            **({"default": default} if shown else {}),
        }


def _any_of(names: Sequence[str]) -> dict[str, Any]:
    return {"anyOf": [{"required": [name]} for name in names]}
