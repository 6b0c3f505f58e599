"""Remedies for lost accuracy: tried side by side, and the best of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pipelines.backends.rknn.recipe.options import options
from pipelines.doctor.applicable import Applicable
from pipelines.doctor.remedy import Remedy
from pipelines.doctor.trial import Result
from pipelines.recipe.define.model import Target

ALGORITHMS = ("normal", "kl_divergence", "mmse")
WORTH = 0.1  # share of the error that a remedy has to take away
_AS_GOOD = 1.1


def remedies(found: Applicable, target: Target, left_out: Collection[str]) -> list[Remedy]:
    """Each alone, and rewrites together. Cuts change what the program gets: marked `interface`."""
    rewrites = found.for_accuracy()
    together = found.firing(rewrites) if len(rewrites) > 1 else ()
    stacks = [(name,) for name in (*rewrites, *found.cuts)] + ([together] if together else [])
    algorithms = []
    quantize = options(target).quantize
    if quantize.is_done_here:
        now = quantize.algorithm
        algorithms = [name for name in ALGORITHMS if name not in (now, *left_out)]
    return [
        *(Remedy(names) for names in stacks),
        *(Remedy(algorithm=name) for name in algorithms),
    ]


def try_all(
    run: Callable[[Remedy], Result], as_it_is: Result, alone: Iterable[Remedy], jobs: int
) -> list[Result]:
    """Each remedy alone, then the best rewrites with the best algorithm. as_it_is comes first."""
    with ThreadPoolExecutor(jobs) as pool:
        results = [as_it_is, *pool.map(run, alone)]
    plain = [one for one in results if not one.remedy.algorithm and one.remedy.rewrites]
    chosen = [best([as_it_is, *kind]) for kind in (plain, _algorithms(results))]
    if None not in chosen:
        both = [one.remedy for one in chosen if one is not None]
        results.append(run(both[0] + both[1]))
    return results


def _algorithms(results: Sequence[Result]) -> list[Result]:
    return [one for one in results if one.remedy.algorithm]


def is_interface(result: Result, cuts: Collection[str], named: Collection[str] = ()) -> bool:
    """Whether the program around the network gets other outputs, and nobody asked for that."""
    return bool(set(result.remedy.rewrites) & set(cuts) - set(named))


def best(
    results: Sequence[Result], cuts: Collection[str] = (), named: Collection[str] = ()
) -> Result | None:
    """The least error, or a simpler remedy within a tenth of it.

    None where none takes a tenth of the error away. results: the first is the build as it is.
    named: cuts that the user allows.
    """
    before = results[0].error
    better = [
        (one.error, one)
        for one in results[1:]
        if not one.failure
        and one.error is not None
        and (before is None or one.error < (1 - WORTH) * before)
        and not is_interface(one, cuts, named)
    ]
    least = min((error for error, _ in better), default=0.0)
    near = [one for error, one in better if error <= least * _AS_GOOD]
    return min(near, key=lambda one: (one.remedy.parts, one.error), default=None)
