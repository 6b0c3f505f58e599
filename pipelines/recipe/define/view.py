"""What a target sees: the recipe's sections with the target's own keys over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from yaml.nodes import Node

from pipelines.files.where import Where
from pipelines.recipe.define.definitions import Definitions
from pipelines.recipe.define.sections import DATA_SOURCES, SOURCES
from pipelines.recipe.yaml.reading import BAD
from pipelines.recipe.yaml.tree import Tree

Values = Mapping[str, Any]


@dataclass(frozen=True)
class View:
    """One target's values, and where each stands.

    recipe: what the recipe's sections say. own: what the target says. BAD stands for a value that
    was refused; what depends on it is not judged.
    """

    definitions: Definitions
    tree: Tree
    name: str
    recipe: Values
    own: Values
    _merged: dict[str, Any] = field(default_factory=dict)

    def get(self, *path: str) -> Any:
        """The value at a path such as ("quantize", "dtype"): written, or the default; or BAD."""
        sections = self.definitions.overrides
        value: Any = self.section(path[0]) if path[0] in sections else self.own
        for key in path[1:] if path[0] in sections else path:
            if value is BAD:
                return BAD
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            return value
        section = sections.get(path[0], self.definitions.target)
        return section.defaults.get(path[-1])

    def section(self, name: str) -> Any:
        """All that is written of a section, merged; BAD if either part is no section."""
        if name not in self._merged:
            parts = self.recipe.get(name, {}), self.own.get(name, {})
            self._merged[name] = BAD if BAD in parts else merge(*parts)
        return self._merged[name]

    def is_own(self, *path: str) -> bool:
        """Whether the target itself writes this."""
        return self._own_path(path) in self.tree.nodes

    def where(self, *path: str) -> Where:
        """The place of the value at a path; of the target if it is written nowhere."""
        node = self.node(*path)
        return self.tree.where(node) if node is not None else self.target

    def key(self, *path: str) -> Where:
        """The place of the key at a path; of the target if it is written nowhere."""
        marks = self.tree.marks
        return marks.get(self._own_path(path)) or marks.get(".".join(path)) or self.target

    def node(self, *path: str) -> Node | None:
        nodes = self.tree.nodes
        own = nodes.get(self._own_path(path))
        return own if own is not None else nodes.get(".".join(path))

    @property
    def target(self) -> Where:
        return self.tree.marks[f"targets.{self.name}"]

    @property
    def backend(self) -> str:
        """The backend's name; the default where it names none, or one that was refused."""
        return self.own.get("backend") or self.definitions.default

    @property
    def source_kind(self) -> str:
        """torch, torchscript, onnx, ...; empty if the source was refused."""
        source = self.recipe.get("source")
        kinds = [kind for kind in SOURCES if source and kind in source]
        return kinds[0] if len(kinds) == 1 else ""

    def refuse(self, path: tuple[str, ...], what: str, advice: str) -> None:
        """A problem at the value of a path."""
        self.tree.add(self.where(*path), what, advice)

    def refuse_key(self, path: tuple[str, ...], what: str, advice: str) -> None:
        """A problem at the key of a path."""
        self.tree.add(self.key(*path), what, advice)

    def _own_path(self, path: tuple[str, ...]) -> str:
        return ".".join(("targets", self.name, *path))


def merge(base: Values, own: Values) -> dict[str, Any]:
    """`own` over `base`, key by key, and option by option where both hold a mapping."""
    merged = {**_without_source(base, own), **own}
    for key, value in own.items():
        under = base.get(key)
        if isinstance(value, dict) and isinstance(under, dict):
            kept = _without_source(under, value) if key == "calibration" else under
            merged[key] = {**kept, **value}
    return merged


def _without_source(base: Values, own: Values) -> Values:
    """`base`, but without its images, list and npy if `own` names another."""
    if not any(key in own for key in DATA_SOURCES):
        return base
    return {key: value for key, value in base.items() if key not in DATA_SOURCES}
