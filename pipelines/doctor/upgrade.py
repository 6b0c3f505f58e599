"""Other toolkits and platforms for what there is: each target built with each of them, aside.

No recipe is changed. A build is a trial (see pipelines.doctor.trial) of the recipe as it would be
with `toolchain` and `platform` written into the target, checked as any recipe; it is in the cache
when the recipe then says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.backends import recipes
from pipelines.backends.table import serving
from pipelines.building.builder import Builder
from pipelines.doctor import trial
from pipelines.doctor.applicable import applicable
from pipelines.doctor.remedy import Remedy
from pipelines.doctor.search import COSINE_SLACK, options_for, plainer_for
from pipelines.doctor.treatment import treat
from pipelines.doctor.trial import Result
from pipelines.files.where import Problems
from pipelines.recipe.define.model import Recipe, Target
from pipelines.recipe.edit import set_value
from pipelines.stages.stage import built

# Differences up to these are none: of the worst output's error, of bytes, of the SDK's cycles.
ERROR, BYTES, CYCLES = 0.002, 0.005, 0.02
BROKEN = "breaks"
GAINS, LOSES, MIXED, SAME, BUILDS, FAILS = "gains", "loses", "mixed", "same", "builds", "fails"


@dataclass(frozen=True)
class Choice:
    """platform: None for each target's own."""

    toolchain: str
    platform: str | None = None

    @property
    def name(self) -> str:
        """`rknn-2.5.0`, or `rknn-2.5.0 rk3566`."""
        return " ".join(filter(None, (self.toolchain, self.platform)))

    def of(self, target: Target) -> dict[str, str]:
        """Key of the target -> what it would have to be instead."""
        wanted = {"toolchain": self.toolchain, "platform": self.platform or target.platform or ""}
        return {key: value for key, value in wanted.items() if value != getattr(target, key)}


@dataclass(frozen=True)
class Cell:
    """One target with one choice. cure: what makes it build, tried where it does not; lines: what
    the recipe then has to say."""

    choice: Choice
    result: Result
    verdict: str = ""
    cure: Result | None = None
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class Row:
    """One target for one platform. cells: a choice each; the first is what others are held to."""

    name: str
    cells: Sequence[Cell]


def choices(toolchains: Sequence[str], platforms: Sequence[str]) -> list[list[Choice]]:
    """A list a platform: of two platforms no build is better."""
    return [[Choice(one, each) for one in toolchains] for each in platforms or (None,)]


def targets_of(recipe: Recipe, platforms: Collection[str]) -> Iterator[Target]:
    """Those that it serves; where platforms are named, one of those that differ in nothing else."""
    seen: list[Target] = []
    for target in recipe.targets.values():
        if target.backend not in serving("upgrade"):
            continue
        blank = dict.fromkeys(("name", "family", "toolchain"), "")
        alike = replace(target, **blank, platform=None, where=recipe.where(""))  # type: ignore[arg-type]
        if not platforms or alike not in seen:
            yield target
        seen.append(alike)


def varied(root: Path, recipe: Recipe, target: Target, choice: Choice) -> tuple[Recipe, Target]:
    """The recipe as it would be. Raises Problems where it then has mistakes."""
    text = (root / recipe.file).read_text(encoding="utf-8")
    for key, value in choice.of(target).items():
        text = set_value(text, ("targets", target.name, key), value)
    found = recipes.load(root / recipe.file, root, text)
    return found, found.targets[target.name]


@dataclass(frozen=True)
class Oracle:
    """Builds what is asked. is_built: whether a target's own build is there and up to date.

    tell: called with target, choice and result as each comes.
    """

    root: Path
    builder: Builder
    is_built: Callable[[Recipe, Target], bool]
    tell: Callable[[str, Choice, Result], None]

    def cell(self, recipe: Recipe, target: Target, choice: Choice) -> Cell:
        """The target built so, or what makes it build so."""
        name = f"{recipe.model}@{target.name}"
        if not choice.of(target) and self.is_built(recipe, target):
            return Cell(choice, trial.as_it_is(self.builder, recipe, target))
        try:
            as_chosen, own = varied(self.root, recipe, target, choice)
        except Problems as found:
            first = found.problems[0]
            result = Result(Remedy(), failure=f"{first.what}; {first.advice}")
            self.tell(name, choice, result)
            return Cell(choice, result)

        def run(remedy: Remedy) -> Result:
            return trial.run(self.root, self.builder, as_chosen, own, remedy)

        result = run(Remedy())
        self.tell(name, choice, result)
        if not result.failure:
            return Cell(choice, result)

        def again(remedy: Remedy) -> Result:
            return result if remedy == Remedy() else run(remedy)

        return self._cured(Cell(choice, result), as_chosen, own, again)

    def _cured(
        self, cell: Cell, recipe: Recipe, target: Target, run: Callable[[Remedy], Result]
    ) -> Cell:
        simplified, _ = trial.vary(recipe, target, Remedy())
        if not (self.root / built(simplified, "simplify/model.onnx")).is_file():
            return cell
        options = [*options_for(target.platform or "", ()), *plainer_for(target, ())]
        cure = treat(run, applicable(self.root, simplified, ()), options).result
        if cure is None:
            return cell
        return replace(cell, cure=cure, lines=cure.remedy.lines(recipe, target))


def judged(name: str, cells: Sequence[Cell], own: str) -> Row:
    """The row with a verdict on all but one: the cell of the target's own toolchain, or the first.

    That one stands first.
    """
    base = next((i for i, cell in enumerate(cells) if cell.choice.toolchain == own), 0)
    held = cells[base]
    others = [cell for i, cell in enumerate(cells) if i != base]
    return Row(
        name,
        [held, *(replace(cell, verdict=verdict(held.result, cell.result)) for cell in others)],
    )


def verdict(old: Result, new: Result) -> str:
    """What the new one is beside the old: gains, loses, mixed, same, builds, breaks or fails."""
    if old.failure or new.failure:
        outcome = {(True, False): BUILDS, (False, True): BROKEN, (True, True): FAILS}
        return outcome[bool(old.failure), bool(new.failure)]
    signs = {sign for sign in _signs(old, new) if sign}
    if len(signs) == 2:
        return MIXED
    return SAME if not signs else GAINS if signs == {1} else LOSES


def _signs(old: Result, new: Result) -> Iterator[int]:
    """1 for each figure that is better, -1 for each that is worse."""
    yield _sign(_error(new) - _error(old), ERROR)
    yield _sign(_cosine(old) - _cosine(new), COSINE_SLACK)
    yield _sign(new.artifact_bytes / old.artifact_bytes - 1, BYTES)
    if old.cycles and new.cycles:
        yield _sign(new.cycles / old.cycles - 1, CYCLES)


def _error(result: Result) -> float:
    """What is not finite is the worst there is."""
    return 1e9 if result.error is None else result.error


def _cosine(result: Result) -> float:
    return -1.0 if result.worst_output_cosine is None else result.worst_output_cosine


def _sign(growth: float, slack: float) -> int:
    return 0 if abs(growth) <= slack else -1 if growth > 0 else 1


def as_data(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """[{target, cells: [{toolchain, platform, verdict, failure, bytes, cycles, output_error,
    output_cosine, layer_cosine, cure: {remedy, lines, bytes, output_error} or null}]}]; figures
    are null where it failed."""
    return [{"target": row.name, "cells": [_cell(cell) for cell in row.cells]} for row in rows]


def _cell(cell: Cell) -> dict[str, Any]:
    result, cure = cell.result, cell.cure
    figures = {
        "bytes": result.artifact_bytes,
        "cycles": result.cycles,
        "output_error": result.error,
        "output_cosine": result.worst_output_cosine,
        "layer_cosine": result.worst_cosine,
    }
    return {
        "toolchain": cell.choice.toolchain,
        "platform": cell.choice.platform,
        "verdict": cell.verdict,
        "failure": result.failure,
        **(dict.fromkeys(figures) if result.failure else figures),
        "cure": cure
        and {
            "remedy": cure.remedy.name,
            "lines": list(cell.lines),
            "bytes": cure.artifact_bytes,
            "output_error": cure.error,
        },
    }
