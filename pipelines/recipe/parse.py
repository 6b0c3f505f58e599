"""Recipes read from disk: all problems of all files at once, or plain frozen data."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pipelines.files.where import Problem, Problems, Where
from pipelines.recipe import resolve
from pipelines.recipe.check import constants as check_constants
from pipelines.recipe.check import foreign
from pipelines.recipe.check import recipe as check_recipe
from pipelines.recipe.define.definitions import Definitions
from pipelines.recipe.define.model import Recipe
from pipelines.recipe.define.view import View
from pipelines.recipe.yaml.paths import Paths
from pipelines.recipe.yaml.reading import BAD, Reader
from pipelines.recipe.yaml.tree import Tree, compose

MODELS = "models"
RECIPE_FILE = "recipe.yaml"


def load(known: Definitions, file: Path, root: Path, text: str | None = None) -> Recipe:
    """The recipe in `file`, below the project `root`. Raises Problems with all that is wrong.

    text: what it would say, in place of what it says.
    """
    folder = file.parent.relative_to(root).as_posix()
    tree = compose(file, f"{folder}/{file.name}", text)
    reader = Reader(tree, Paths(root, folder, _outside(tree)), known.unknown)
    values = known.recipe.read(tree.root, "", reader)
    values, constants = check_constants.divided(tree, values)
    views = _views(known, tree, values)
    check_recipe.check(tree, values, file.parent.name)
    for view in views:
        foreign.check(view)
        known.backends[view.backend].check(view)
    if tree.problems:
        raise Problems(tree.problems)
    return resolve.recipe(tree, values, views, constants)


def _outside(tree: Tree) -> tuple[str, ...]:
    """What the recipe says may lead out of the project; other paths are judged by it."""
    given = tree.raw.get("outside") if isinstance(tree.raw, Mapping) else None
    return tuple(path for path in given if isinstance(path, str)) if type(given) is list else ()


def _views(known: Definitions, tree: Tree, values: dict[str, Any]) -> list[View]:
    targets = values.get("targets", BAD)
    if targets is BAD:
        return []
    return [View(known, tree, name, values, own) for name, own in targets.items() if own is not BAD]


def load_all(known: Definitions, root: Path) -> dict[str, Recipe]:
    """Model -> recipe, for every folder of models/ that has one, sorted by name.

    Raises Problems with all that is wrong in all of them.
    """
    recipes, broken = load_each(known, root)
    if broken:
        raise Problems(problem for found in broken.values() for problem in found.problems)
    return recipes


def load_each(
    known: Definitions, root: Path, left_out: Collection[str] = ()
) -> tuple[dict[str, Recipe], dict[str, Problems]]:
    """The sound recipes by model, and folder of models/ -> what is wrong with the others.

    left_out: folders that are not read.
    """
    models = root / MODELS
    recipes: dict[str, Recipe] = {}
    broken: dict[str, Problems] = {}
    names = {*os.listdir(models)} - {*left_out} if models.is_dir() else ()  # noqa: PTH208
    for folder in (models / name for name in sorted(names)):
        try:
            if (file := _recipe_file(folder)) is not None:
                recipes[folder.name] = load(known, file, root)
        except Problems as found:
            broken[folder.name] = found
    return recipes, broken


def _recipe_file(folder: Path) -> Path | None:
    """The folder's recipe; None if it has none. Raises Problems on recipe.yml and on a link."""
    file = folder / RECIPE_FILE
    if file.is_file():
        if folder.name.startswith("."):
            return None
        for place in (folder.parent, folder):  # dvc.yaml, dvc.lock and build/ are written below
            if place.is_symlink():
                where = Where(MODELS if place == folder.parent else f"{MODELS}/{folder.name}")
                what, advice = "this folder can't be a link", "put the folder itself here"
                raise Problems([Problem(where, what, advice)])
        return file
    if (wrong := folder / "recipe.yml").is_file():
        where = Where(f"{MODELS}/{folder.name}/{wrong.name}")
        raise Problems(
            [Problem(where, "a recipe is called recipe.yaml", f"rename it to {RECIPE_FILE}")]
        )
    return None
