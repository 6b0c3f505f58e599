"""Targets as MODEL, MODEL@TARGET and --target name them."""

from __future__ import annotations

from pipelines.building.project import Project
from pipelines.files.where import did_you_mean
from pipelines.front.doit.cli import UsageError, unknown
from pipelines.recipe.define.model import Recipe, Target

Named = dict[str, tuple[Recipe, Target]]


def all_named(project: Project, backend: str | None = None) -> Named:
    """MODEL@TARGET -> both, of one backend or of all."""
    return {
        f"{recipe.model}@{target.name}": (recipe, target)
        for recipe, target in project.plan.targets()
        if backend in (None, target.backend)
    }


def by_name(project: Project, name: str, backend: str) -> tuple[Recipe, Target]:
    """MODEL@TARGET of the backend. Raises UsageError with the nearest."""
    known = all_named(project, backend)
    if name not in known:
        raise unknown(f"{backend} target", name, known, "targets")
    return known[name]


def find(project: Project, name: str, target: str | None) -> tuple[Recipe, list[Target]]:
    """The targets that MODEL or MODEL@TARGET means."""
    model, _, named = name.partition("@")
    recipes = project.recipes
    if model not in recipes:
        raise unknown("model", model, recipes, "models")
    recipe, wanted = recipes[model], target or named
    if wanted and wanted not in recipe.targets:
        advice = did_you_mean(wanted, recipe.targets, "targets")
        raise UsageError(f"{model} has no target `{wanted}`", advice)
    return recipe, [recipe.targets[wanted]] if wanted else list(recipe.targets.values())


def find_rknn(
    project: Project, name: str, target: str | None, who: str
) -> tuple[Recipe, list[Target]]:
    """Those of .rknn files. who: the command that asks."""
    recipe, chosen = find(project, name, target)
    able = [one for one in chosen if one.backend == "rknn"]
    if not able:
        is_one = target or "@" in name
        what = f"{recipe.model}@{chosen[0].name}" if is_one else f"every target of {recipe.model}"
        raise UsageError(
            f"{what} is of the backend {chosen[0].backend}",
            f"{who} examines .rknn files; ./doit doctor tells this one's bytes",
        )
    return recipe, able
