"""The project in this folder: its recipes, plan and builder, each made when first asked for."""

from __future__ import annotations

import gc
from functools import cached_property
from pathlib import Path

from pipelines import plan
from pipelines.builder import Builder
from pipelines.plan import Plan
from pipelines.recipe import parse
from pipelines.recipe.model import Recipe

# A plan of thousands of steps holds no garbage: by default it is searched after every 700 objects.
gc.set_threshold(200_000)


class Project:
    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """Every model's recipe. Raises Problems with all that is wrong in all of them."""
        return parse.load_all(self.root)

    @cached_property
    def plan(self) -> Plan:
        return plan.make(self.recipes, self.root)

    @cached_property
    def builder(self) -> Builder:
        return Builder(self.root)


CURRENT = Project(Path(__file__).resolve().parent.parent)
