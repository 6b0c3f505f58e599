"""A network that does not build: what is tried on it, one after the other, until one builds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.doctor.applicable import Applicable
from pipelines.doctor.remedy import Remedy
from pipelines.doctor.trial import Result

_MOST_CURES = 5  # of failures that name one, after each other


@dataclass(frozen=True)
class Treated:
    """tried: all results, the build as it is first. result: the first that builds, or None."""

    tried: Sequence[Result]

    @property
    def result(self) -> Result | None:
        return next((one for one in self.tried if not one.failure), None)


def treat(run: Callable[[Remedy], Result], found: Applicable, options: Sequence[Remedy]) -> Treated:
    """Try until one builds: what the failure itself names, rewrites, options, and cuts at last.

    A cut changes the outputs. Each is tried with what its own failure names too.
    """
    tried: list[Result] = []
    cure: Mapping[str, Any] = {}
    for remedy in (Remedy(), *_remedies(found, options)):
        for result in _with_cures(run, remedy + Remedy(options=cure)):
            tried.append(result)
            if not result.failure:
                return Treated(tried)
            cure = {**cure, **result.cure}
    return Treated(tried)


def _remedies(found: Applicable, options: Sequence[Remedy]) -> Iterator[Remedy]:
    yield from (Remedy((name,)) for name in found.rewrites)
    together = found.firing(found.rewrites) if len(found.rewrites) > 1 else ()
    if len(together) > 1:
        yield Remedy(together)
    yield from options
    yield from (Remedy((name,)) for name in found.cuts)


def _with_cures(run: Callable[[Remedy], Result], remedy: Remedy) -> Iterator[Result]:
    """The remedy, and then with what the failures name, while they name something new."""
    for _ in range(1 + _MOST_CURES):
        result = run(remedy)
        yield result
        wanted = remedy + Remedy(options=result.cure)
        if not result.failure or wanted == remedy:
            return
        remedy = wanted
