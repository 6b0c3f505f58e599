"""The project in a folder: its recipes, plan and builder, each made when first asked for."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePath

from pipelines.backends import recipes
from pipelines.building import plan
from pipelines.building.builder import Builder
from pipelines.building.done import Invocation
from pipelines.building.plan import Plan
from pipelines.files.where import Problems
from pipelines.recipe.define.model import Recipe
from pipelines.record.whole import Memory, Whole

# A plan of thousands of steps holds no garbage: by default it is searched after every 700 objects.
gc.set_threshold(200_000)


class Project:
    """invocation: the command line that is carried out now."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.invocation = Invocation()
        self.spared: Mapping[str, Whole] = {}  # models that have nothing to do, and are not read
        self.memory: Memory | None = None  # what tells so

    def spare(self, models: Mapping[str, Whole], memory: Memory | None) -> None:
        """Leave these models out of all below, until others are named."""
        self.spared, self.memory = models, memory
        self.read_again()

    @cached_property
    def _read(self) -> tuple[dict[str, Recipe], dict[str, Problems]]:
        return recipes.load_each(self.root, self.spared)

    @property
    def recipes(self) -> dict[str, Recipe]:
        """Every model's recipe, but for those with mistakes, and those that are spared."""
        return self._read[0]

    @property
    def models(self) -> set[str]:
        """Models without mistakes, spared or not."""
        return {*self.recipes, *self.spared}

    @property
    def broken(self) -> dict[str, Problems]:
        """Folder of models/ -> what is wrong with its recipe."""
        return self._read[1]

    def read_again(self) -> None:
        """After files came that recipes name."""
        for name in ("_read", "plan"):
            vars(self).pop(name, None)

    @cached_property
    def plan(self) -> Plan:
        return plan.make(self.recipes, self.root)

    @cached_property
    def builder(self) -> Builder:
        return Builder(self.root, order=self._order)

    def _order(self, folder: str) -> Iterator[str]:
        """Names of a model's stages in its dvc.lock."""
        return (step.lock_name for step in self.plan.of(PurePath(folder).name))
