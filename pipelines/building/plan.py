"""The plan: the steps of all recipes, each after those it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pipelines.backends.table import BACKENDS
from pipelines.recipe.define.model import Recipe, Target
from pipelines.record.step import Step
from pipelines.stages.export import step as export
from pipelines.stages.simplify import step as simplify
from pipelines.stages.stage import completed


@dataclass(frozen=True)
class Plan:
    """steps: name -> step, in dependency order."""

    recipes: Mapping[str, Recipe]
    steps: Mapping[str, Step]

    def of(self, model: str, target: str | None = None) -> Iterator[Step]:
        """A model's steps; with a target, only that target's own."""
        for step in self._by_model.get(model, ()):
            if target is None or step.target == target:
                yield step

    def targets(self) -> Iterator[tuple[Recipe, Target]]:
        for recipe in self.recipes.values():
            for target in recipe.targets.values():
                yield recipe, target

    def groups(self, recipe: Recipe) -> dict[str, list[Step]]:
        """Target, or name of a sweep, -> its own steps; a sweep's are those of all its targets."""
        found: dict[str, list[Step]] = {}
        for target in recipe.targets.values():
            found[target.name] = list(self.of(recipe.model, target.name))
            if target.family != target.name:
                found.setdefault(target.family, list(self.of(recipe.model, target.family)))
                found[target.family] += found[target.name]
        return found

    def before(self, step: Step) -> Iterator[Step]:
        """The steps whose outputs are this one's inputs."""
        made_by = self._makers
        yield from {
            made_by[path].name: made_by[path] for path in step.inputs.values() if path in made_by
        }.values()

    def with_dependencies(self, names: Iterable[str]) -> set[str]:
        """The named steps, and all that they depend on."""
        chosen, todo = set[str](), list(names)
        while todo:
            name = todo.pop()
            if name not in chosen:
                chosen.add(name)
                todo += [step.name for step in self.before(self.steps[name])]
        return chosen

    def in_order(self, names: Iterable[str]) -> list[Step]:
        """The named steps, each after those that it depends on."""
        return [self.steps[name] for name in sorted(names, key=self._places.__getitem__)]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.steps)}

    def makers(self) -> Mapping[str, Step]:
        """Output path -> the step that makes it."""
        return self._makers

    @cached_property
    def _makers(self) -> dict[str, Step]:
        return {path: step for step in self.steps.values() for path in step.outputs.values()}

    @cached_property
    def _by_model(self) -> dict[str, list[Step]]:
        found: dict[str, list[Step]] = {}
        for step in self.steps.values():
            found.setdefault(step.model, []).append(step)
        return found

    def toolchains(self, names: Iterable[str]) -> set[str]:
        """All toolchains that the named steps run in."""
        return {toolchain for name in names for toolchain in self.steps[name].toolchains}


def make(recipes: Mapping[str, Recipe], root: Path) -> Plan:
    """Pure function of the recipes and of the list files that they name."""
    steps = [
        step if recipe.limits.minutes is None else replace(step, limit_s=60 * recipe.limits.minutes)
        for recipe in recipes.values()
        for step in _steps(recipe, root)
    ]
    return Plan(recipes, {step.name: step for step in steps})


def _steps(recipe: Recipe, root: Path) -> Iterator[Step]:
    """A model's steps, without those that no target needs."""
    shared = [export.step(recipe, root), simplify.step(recipe, root)]
    own = [
        step
        for target in recipe.targets.values()
        for step in BACKENDS[target.backend].steps(recipe, target, root)
    ]
    needed = {path for step in own for path in step.inputs.values()}
    for step in reversed(shared):
        if needed & set(step.outputs.values()):
            needed |= set(step.inputs.values())
        else:
            shared.remove(step)
    yield from (completed(step, recipe) for step in (*shared, *own))
