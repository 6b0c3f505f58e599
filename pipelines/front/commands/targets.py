"""Targets as MODEL, MODEL@TARGET and --target name them."""

from __future__ import annotations

from pipelines.backends.table import serving
from pipelines.building.project import Project
from pipelines.files.where import did_you_mean
from pipelines.front.doit.cli import UsageError, dispatch, unknown
from pipelines.recipe.define.model import Recipe, Target

Named = dict[str, tuple[Recipe, Target]]


def all_named(project: Project) -> Named:
    """MODEL@TARGET -> both."""
    return {
        f"{recipe.model}@{target.name}": (recipe, target)
        for recipe, target in project.plan.targets()
    }


def served(project: Project, command: str) -> Named:
    """MODEL@TARGET -> both, of the backends that the command serves."""
    able = serving(command)
    return {name: both for name, both in all_named(project).items() if both[1].backend in able}


def by_name(project: Project, name: str, command: str) -> tuple[Recipe, Target]:
    """MODEL@TARGET that the command serves. Raises UsageError with the nearest."""
    known = served(project, command)
    if name not in known:
        raise unknown(f"{' or '.join(serving(command))} target", name, known, "targets")
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


def find_served(
    project: Project, name: str, target: str | None, command: str
) -> tuple[Recipe, list[Target]]:
    """Those of them that the command serves."""
    recipe, chosen = find(project, name, target)
    able = [one for one in chosen if one.backend in serving(command)]
    if not able:
        is_one = target or "@" in name
        what = f"{recipe.model}@{chosen[0].name}" if is_one else f"every target of {recipe.model}"
        raise UsageError(
            f"{what} is of the backend {chosen[0].backend}",
            f"{command} is for targets of {' and '.join(serving(command))}; "
            "./doit doctor tells this one's bytes",
        )
    return recipe, able


def build(project: Project, recipe: Recipe, target: Target) -> tuple[int, bool]:
    """Build one target. Returns the run's exit code, and whether the target is stale all the same.

    A gate that fails ends a run with 1, and leaves nothing stale.
    """
    code = dispatch(project, [f"{recipe.model}@{target.name}"])
    *_, last = project.plan.of(recipe.model, target.name)
    return code, not project.builder.is_up_to_date(last)
