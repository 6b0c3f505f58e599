"""Targets by the names on a command line."""

from __future__ import annotations

from pipelines.front.cli import UsageError
from pipelines.project import CURRENT
from pipelines.recipe.model import Recipe, Target
from pipelines.where import did_you_mean


def rknn_target(name: str) -> tuple[Recipe, Target]:
    """`MODEL@TARGET` of the backend rknn. Raises UsageError with the nearest."""
    known = {
        f"{recipe.model}@{target.name}": (recipe, target)
        for recipe, target in CURRENT.plan.targets()
        if target.backend == "rknn"
    }
    if name not in known:
        raise UsageError(f"no rknn target `{name}`\n  {did_you_mean(name, known, 'targets')}")
    return known[name]
