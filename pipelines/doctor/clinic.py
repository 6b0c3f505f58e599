"""Which remedies to try for a model and target, and trying them side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from pipelines.builder import Builder
from pipelines.doctor import trial
from pipelines.doctor.patterns import Applicable
from pipelines.doctor.remedy import Remedy
from pipelines.doctor.trial import Result
from pipelines.recipe.model import Recipe, Target

# A cosine may be lower by this much, which is what calibrating anew gives and takes.
COSINE_SLACK = 0.0005
_AS_GOOD = 1.01  # of two builds of nearly the same size, the simpler remedy is the better
SINGLE_CORE = Remedy(options={"single_core_mode": True})
COMPRESSED = Remedy(options={"single_core_mode": True, "compress_weight": True})


@dataclass(frozen=True)
class Clinic:
    """tell: called with each result as it comes."""

    root: Path
    builder: Builder
    jobs: int
    tell: Callable[[Result], None]

    def try_all(self, recipe: Recipe, target: Target, found: Applicable) -> list[Result]:
        """Each remedy alone, then the rewrites that helped together and with the options.

        A cut changes the outputs, which is the user's choice: it is tried alone. The first result
        is the build as it is.
        """
        alone = [Remedy((name,)) for name in (*found.rewrites, *found.cuts)]
        as_it_is, *first = self._run(recipe, target, [Remedy(), *alone, SINGLE_CORE, COMPRESSED])
        helped = [
            result.remedy
            for result in first
            if set(result.remedy.rewrites) & set(found.rewrites) and _is_better(result, as_it_is)
        ]
        # One rewrite may only help beside another: slice_before_concat keeps the SDK from undoing
        # what concat_on_spatial_axis does.
        bases = [
            reduce(Remedy.__add__, some) for some in (helped, alone[: len(found.rewrites)]) if some
        ]
        if not bases:
            return [as_it_is, *first]
        stacked = {
            remedy.name: remedy
            for base in bases
            for remedy in (base, base + SINGLE_CORE, base + COMPRESSED)
        }
        known = {result.remedy.name for result in first}
        more = self._run(recipe, target, [r for name, r in stacked.items() if name not in known])
        return [as_it_is, *first, *more]

    def _run(self, recipe: Recipe, target: Target, remedies: Iterable[Remedy]) -> list[Result]:
        """Results in the order of the remedies, made `jobs` at once."""

        def one(remedy: Remedy) -> Result:
            result = trial.run(self.root, self.builder, recipe, target, remedy)
            self.tell(result)
            return result

        with ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(one, remedies))


def best(results: Sequence[Result], cuts: Sequence[str] = ()) -> Result | None:
    """The smallest build that changes no outputs and lowers no cosine; None where none is smaller.

    results: the first is the build as it is. cuts: rewrites that change the outputs.
    """
    as_it_is = results[0]
    better = [
        result
        for result in results[1:]
        if _is_better(result, as_it_is)
        and _is_as_exact(result, as_it_is)
        and not set(result.remedy.rewrites) & set(cuts)
    ]
    least = min((result.artifact_bytes for result in better), default=0)
    near = [result for result in better if result.artifact_bytes <= least * _AS_GOOD]
    return min(near, key=lambda r: (r.remedy.parts, r.artifact_bytes), default=None)


def _is_better(result: Result, than: Result) -> bool:
    return not result.failure and result.artifact_bytes < than.artifact_bytes


def _is_as_exact(result: Result, as_it_is: Result) -> bool:
    pairs = (
        (result.worst_cosine, as_it_is.worst_cosine),
        (result.worst_output_cosine, as_it_is.worst_output_cosine),
    )
    return all(
        new is not None and new >= old - COSINE_SLACK for new, old in pairs if old is not None
    )
