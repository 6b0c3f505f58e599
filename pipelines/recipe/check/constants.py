"""Inputs that the recipe gives a value: constants of the network, and fed with no data."""

from __future__ import annotations

from typing import Any

from pipelines.recipe.define.view import Values
from pipelines.recipe.yaml.reading import BAD
from pipelines.recipe.yaml.tree import Tree

_OF_DATA = ("mean", "std", "color", "resize", "pad")


def divided(tree: Tree, recipe: Values) -> tuple[dict[str, Any], dict[str, Any]]:
    """The recipe without its constant inputs, and those: name -> what is written of it."""
    inputs = recipe.get("inputs")
    if inputs in (None, BAD):
        return dict(recipe), {}
    constants = {name: given for name, given in inputs.items() if _is_constant(tree, name)}
    for name in constants:
        _check(tree, recipe, name)
    fed = {name: given for name, given in inputs.items() if name not in constants}
    return {**recipe, "inputs": fed}, constants


def _is_constant(tree: Tree, name: str) -> bool:
    """Whether a value is written, be it a wrong one."""
    return f"inputs.{name}.value" in tree.marks


def _check(tree: Tree, recipe: Values, name: str) -> None:
    source = recipe.get("source")
    if source not in (None, BAD) and "onnx" not in source:
        what = f"only an ONNX source's inputs can be made constants, and `{name}` has a value"
        tree.add(
            tree.marks[f"inputs.{name}.value"], what, "set it in the network's own code instead"
        )
    for key in _OF_DATA:
        if f"inputs.{name}.{key}" in tree.marks:
            what = f"`{key}` has no effect on a constant input"
            tree.add(tree.marks[f"inputs.{name}.{key}"], what, "delete it, or `value`")
