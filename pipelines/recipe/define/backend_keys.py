"""What a backend reads of a recipe, handed to all that reads recipes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.recipe.define.model import Target
from pipelines.recipe.kinds.section import Key, Section

if TYPE_CHECKING:
    from pipelines.recipe.define.view import View


def _nothing(name: str) -> None:
    """No name is a known mistake."""


@dataclass(frozen=True)
class BackendKeys:
    """One backend's part of a recipe.

    sections: of the recipe; a target's override them key by key. Backends may share one, of which
    each has the keys that it reads. keys: of a target alone. defaults: of those.
    check: its problems go to the view's tree. resolve: the targets that a sound view stands for.
    homes: section -> keys that belong there, as far as `sections` does not tell.
    known: what to say of a name that people write by mistake, or None.
    example: a target of it, as one would write it.
    """

    name: str
    doc: str
    sections: Mapping[str, Section]
    keys: Mapping[str, Key]
    defaults: Mapping[str, Any]
    check: Callable[[View], None]
    resolve: Callable[[View], list[Target]]
    example: str
    homes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    known: Callable[[str], tuple[str, str] | None] = _nothing
