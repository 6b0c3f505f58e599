"""Targets as MODEL, MODEL@TARGET and --target name them."""

from __future__ import annotations

from pipelines.front.cli import UsageError
from pipelines.project import CURRENT
from pipelines.recipe.model import Recipe, Target
from pipelines.where import did_you_mean


def find(name: str, target: str | None, who: str) -> tuple[Recipe, list[Target]]:
    """The .rknn targets that MODEL or MODEL@TARGET means. who: the command that asks."""
    model, _, named = name.partition("@")
    recipes = CURRENT.recipes
    if model not in recipes:
        raise UsageError(f"no model `{model}`\n  {did_you_mean(model, recipes, 'models')}")
    recipe, wanted = recipes[model], target or named
    if wanted and wanted not in recipe.targets:
        advice = did_you_mean(wanted, recipe.targets, "targets")
        raise UsageError(f"{model} has no target `{wanted}`\n  {advice}")
    chosen = [recipe.targets[wanted]] if wanted else list(recipe.targets.values())
    able = [target for target in chosen if target.backend == "rknn"]
    if not able:
        what = f"{model}@{wanted}" if wanted else f"every target of {model}"
        raise UsageError(
            f"{what} is of the backend {chosen[0].backend}\n"
            f"  {who} examines .rknn files; report/bytes.json tells this one's bytes"
        )
    return recipe, able
