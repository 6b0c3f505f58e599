"""Remedies for lost accuracy: tried in simulation, the best few built, and the best of those."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from pipelines.backends.rknn.recipe.options import options
from pipelines.backends.rknn.recipe.vendor import (
    FLOAT16_LAYERS,
    INT16_LAYERS,
    PLATFORM_ALIASES,
)
from pipelines.doctor.applicable import DIVIDE, Applicable
from pipelines.doctor.remedy import Remedy
from pipelines.doctor.trial import Foretold, Result
from pipelines.recipe.define.model import Target

ALGORITHMS = ("normal", "kl_divergence", "mmse")
METHODS = ("channel", "layer")
HALF, INT16 = "float16", "int16"
SAMPLES = 100  # that calibration is asked to have; the SDK's maker says 20 to 100
WORTH = 0.1  # share of the error that a remedy has to take away
BUILT = 5  # remedies that are built, of those that the simulation knows
GOOD = 0.02  # an error that needs no float16 layers to lower it further
_AS_GOOD = 1.1


def remedies(
    found: Applicable, target: Target, left_out: Collection[str], available: int | None = None
) -> list[Remedy]:
    """Each alone, and rewrites together. Cuts change what the program gets: marked `interface`.

    available: how many samples there are to calibrate on, None where that is not known.
    """
    rewrites = found.for_accuracy()
    together = found.firing(rewrites) if len(rewrites) > 1 else ()
    stacks = [(name,) for name in (*rewrites, *found.cuts)] + ([together] if together else [])
    return [
        *(Remedy(names) for names in stacks if names != (DIVIDE,)),
        *([Remedy((DIVIDE,), divide=found.divide)] if found.divide else []),
        *_calibrations(target, left_out, available),
    ]


def _calibrations(
    target: Target, left_out: Collection[str], available: int | None
) -> Iterator[Remedy]:
    quantize, data = options(target).quantize, target.calibration
    if not quantize.is_done_here:
        return
    for name in ALGORITHMS:
        if name not in (quantize.algorithm, *left_out):
            yield Remedy(algorithm=name)
    for name in METHODS:
        if name not in (quantize.method, *left_out) and quantize.method in METHODS:
            yield Remedy(method=name)
    has = data.samples if data else None
    if has is not None and available is not None and "samples" not in left_out:
        wanted = min(available, SAMPLES)
        if wanted > has:
            yield Remedy(samples=wanted)


def are_layers_open(target: Target, left_out: Collection[str]) -> bool:
    """Whether float16 layers may be tried: the recipe names none."""
    return not options(target).build.layers and "layers" not in left_out


@dataclass(frozen=True)
class Bench:
    """foretell: simulates a remedy; with True, sets of float16 layers too. build: for real.

    wide: the types of 16 bits in which the SDK takes layers for the target's platform.
    """

    foretell: Callable[[Remedy, bool], Foretold]
    build: Callable[[Remedy], Result]
    jobs: int
    wide: Sequence[str] = (HALF,)


@dataclass(frozen=True)
class Tried:
    """results: of builds, the one as it is first. foretold: what was simulated and not built."""

    results: Sequence[Result]
    foretold: Sequence[Foretold]


def try_all(
    bench: Bench,
    as_it_is: Result,
    alone: Sequence[Remedy],
    cuts: Collection[str],
    named: Collection[str] = (),
    has_layers: bool = False,
) -> Tried:
    """All in simulation, alone and the best together; then the best few, built.

    What the simulation does not know is built without it. cuts: change the program's outputs, and
    are joined with others only where they are `named`. has_layers: sets of float16 layers may be
    tried.
    """
    with ThreadPoolExecutor(bench.jobs) as pool:
        asked = [*pool.map(lambda one: bench.foretell(one, False), [Remedy(), *alone])]
        before, *simulated = asked
        joined = _joined(before, simulated, cuts, named)
        simulated += pool.map(lambda one: bench.foretell(one, False), joined)
        if has_layers and before.error is not None:
            simulated += _with_layers(bench, before, simulated, cuts, named)
        known = [one for one in simulated if one.error is not None]
        chosen = [one.remedy for one in simulated if one.error is None]
        worth = [one.remedy for one in _worth_building(before, known, cuts, named)]
        chosen += _in_types(worth, bench.wide)
        results = [as_it_is, *pool.map(bench.build, chosen)]
    return Tried(results, [one for one in known if one.remedy not in chosen])


def _joined(
    before: Foretold, found: Sequence[Foretold], cuts: Collection[str], named: Collection[str]
) -> list[Remedy]:
    """The best of each kind, one added after the other: rewrites, then how it is calibrated."""
    usable = [one for one in found if not _is_cut(one.remedy, cuts, named)]
    kinds = [
        [one for one in usable if one.remedy.rewrites and not set(one.remedy.rewrites) & set(cuts)],
        [one for one in usable if set(one.remedy.rewrites) & set(cuts)],
        [one for one in usable if one.remedy.algorithm],
        [one for one in usable if one.remedy.method],
        [one for one in usable if one.remedy.samples],
    ]
    joined: list[Remedy] = []
    together = Remedy()
    for one in filter(None, (_least(before, kind) for kind in kinds)):
        together = together + one.remedy
        if together != one.remedy:
            joined.append(together)
    return joined


def _least(before: Foretold, found: Sequence[Foretold]) -> Foretold | None:
    """The one of least error, where that is lower than before."""
    known = [(one.error, one) for one in found if one.error is not None]
    if before.error is not None:
        known = [(error, one) for error, one in known if error < (1 - WORTH) * before.error]
    return min(known, key=lambda pair: pair[0], default=(0, None))[1]


def _with_layers(
    bench: Bench,
    before: Foretold,
    found: Sequence[Foretold],
    cuts: Collection[str],
    named: Collection[str],
) -> Iterator[Foretold]:
    """Sets of float16 layers, over the best of the others and over the build as it is."""
    usable = [one for one in found if not _is_cut(one.remedy, cuts, named)]
    best = _least(before, usable)
    for base in filter(None, (best, before)):
        searched = bench.foretell(base.remedy, True)
        for one in _sets(base.error or 0, searched.sets):
            layers = dict.fromkeys(one["tensors"], HALF)
            yield Foretold(base.remedy + Remedy(layers=layers), one["error"])


def _sets(before: float, found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The fewest layers that halve the error, the fewest that are good enough, and the best."""
    better = [one for one in found if one["error"] < (1 - WORTH) * before]
    chosen = [
        next((one for one in better if one["error"] <= limit), None) for limit in (before / 2, GOOD)
    ]
    sets = {one["layers"]: one for one in (*chosen, *better[-1:]) if one}
    return [*sets.values()]


def _worth_building(
    before: Foretold, known: Sequence[Foretold], cuts: Collection[str], named: Collection[str]
) -> list[Foretold]:
    """The best few, the best of each kind among them, and the best cut."""
    better = sorted(
        (
            one
            for one in known
            if before.error is None or (one.error or 0) < (1 - WORTH) * before.error
        ),
        key=lambda one: (one.error or 0, one.remedy.parts),
    )
    usable = [one for one in better if not _is_cut(one.remedy, cuts, named)]
    plain = [one for one in usable if not one.remedy.layers]
    chosen = [*plain[:2], *[one for one in usable if one.remedy.parts == 1][:1], *usable]
    few = list({one.remedy.name: one for one in chosen}.values())[:BUILT]
    return [*few, *[one for one in better if _is_cut(one.remedy, cuts, named)][:1]]


def _in_types(worth: Sequence[Remedy], wide: Sequence[str]) -> list[Remedy]:
    """Sets of layers in the types that the platform has; beside float16 the first in int16 too.

    Our simulation does not know int16, whose error shows when it is built: mostly float16's, more
    where one tensor joins ranges that differ by far.
    """
    in_int16 = [
        replace(one, layers=dict.fromkeys(one.layers, INT16)) for one in worth if one.layers
    ]
    if INT16 not in wide:
        return [*worth]
    if HALF in wide:
        return [*worth, *in_int16[:1]]
    return [*(one for one in worth if not one.layers), *in_int16]


def wide_types(target: Target) -> list[str]:
    """In which the SDK takes layers of an int8 network for the target's platform."""
    chip = PLATFORM_ALIASES.get(target.platform or "", target.platform or "")
    return [INT16] * (chip in INT16_LAYERS) + [HALF] * (chip not in INT16_LAYERS - FLOAT16_LAYERS)


def _is_cut(remedy: Remedy, cuts: Collection[str], named: Collection[str]) -> bool:
    return bool(set(remedy.rewrites) & set(cuts) - set(named))


def is_interface(result: Result, cuts: Collection[str], named: Collection[str] = ()) -> bool:
    """Whether the program around the network gets other outputs, and nobody asked for that."""
    return _is_cut(result.remedy, cuts, named)


def best(
    results: Sequence[Result], cuts: Collection[str] = (), named: Collection[str] = ()
) -> Result | None:
    """The least error, or a simpler remedy within a tenth of it.

    Of those that are at most GOOD, the one with the fewest float16 layers, then cycles, then parts.
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
    good = [one for error, one in better if error <= GOOD]
    if good:
        return min(good, key=lambda one: (*_cost(one), one.error))
    near = [one for error, one in better if error <= least * _AS_GOOD]
    return min(near, key=lambda one: (one.remedy.parts, *_cost(one), one.error), default=None)


def _cost(one: Result) -> tuple[float, float, int]:
    """Float16 layers, cycles, parts."""
    cycles = math.inf if one.cycles is None else one.cycles
    return len(one.remedy.layers), cycles, one.remedy.parts
