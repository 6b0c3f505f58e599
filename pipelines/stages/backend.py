"""What a backend is: its keys of a recipe, a target's steps, and what those make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipelines.recipe.define.backend_keys import BackendKeys
from pipelines.recipe.define.model import Recipe, Target
from pipelines.record.step import Step


class Simulate(Protocol):
    def __call__(
        self, recipe: Recipe, target: Target, root: Path, out: str, *, is_searched: bool
    ) -> Step: ...


@dataclass(frozen=True)
class Trials:
    """How the doctor and `./doit tune` try a variant of a target: steps outside the plan, each of
    which writes the file that is named last.

    measure: the outputs of a build, as figures of metrics.json. search: sets of layers in other
    types, `by` error or cosine, from build.json of other builds, by the name in the job.
    simulate: outputs without a build; is_searched: of sets of layers too.
    is_one_call: a target of which only a whole build can be made: none that can be simulated.
    """

    measure: Callable[[Recipe, Target, Path, str], Step]
    search: Callable[[Recipe, Target, Path, str, Mapping[str, str], str], Step]
    simulate: Simulate
    is_one_call: Callable[[Target], bool]


@dataclass(frozen=True)
class Backend:
    """keys: what it reads of a recipe. steps: a target's, in order; targets of one family may
    share some.

    artifacts: kind -> name of a built file below build/TARGET; reports count the first.
    bytes_key: what metrics.json calls that one's bytes. runs, in_words: what runs it, as
    metrics.json and people call it.
    notes: build/TARGET and the target's name -> sentences for its row.
    infer_step: a step outside the plan that writes comparison.json, float.npz and `runs`.npz.
    board_step: the same on the board that is named last, which writes board.npz; None: no board
    runs its files.
    commands: subcommands that serve its targets, of those that do not serve every backend's.
    trials: how the doctor tries things on its builds; None: it knows of nothing to try.
    reference: its part of docs/recipe.md, behind the sections.
    """

    keys: BackendKeys
    steps: Callable[[Recipe, Target, Path], list[Step]]
    artifacts: Callable[[Recipe, Target], Mapping[str, str]]
    infer_step: Callable[[Recipe, Target, str, Sequence[str]], Step]
    bytes_key: str
    runs: str
    in_words: str
    notes: Callable[[Path, str], Iterable[str]] = lambda folder, target: ()
    board_step: Callable[[Recipe, Target, str, Sequence[str], str], Step] | None = None
    commands: frozenset[str] = frozenset()
    trials: Trials | None = None
    reference: Callable[[], str] = lambda: ""
