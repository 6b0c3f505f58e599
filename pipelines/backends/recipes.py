"""Recipes read from disk, with the keys of all backends. See pipelines.recipe.parse."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pipelines.backends.table import DEFINITIONS
from pipelines.files.where import Problems
from pipelines.recipe import parse
from pipelines.recipe.define.model import Recipe


def load(file: Path, root: Path, text: str | None = None) -> Recipe:
    return parse.load(DEFINITIONS, file, root, text)


def load_all(root: Path) -> dict[str, Recipe]:
    return parse.load_all(DEFINITIONS, root)


def load_each(
    root: Path, left_out: Collection[str] = ()
) -> tuple[dict[str, Recipe], dict[str, Problems]]:
    return parse.load_each(DEFINITIONS, root, left_out)
