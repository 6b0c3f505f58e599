"""What the jobs of export are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.recipe.define.model import Constant, Source


@dataclass(frozen=True)
class Declared:
    """What the recipe says of an input, as far as export reads it."""

    shape: tuple[int, ...] | None
    dtype: str


@dataclass(frozen=True, kw_only=True)
class ExportParams:
    """outputs: names; none for all."""

    source: Source
    inputs: Mapping[str, Declared] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    constants: Mapping[str, Constant] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LookParams:
    """shapes: input, or empty for the only one -> its shape, as the user told them."""

    source: Source
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
