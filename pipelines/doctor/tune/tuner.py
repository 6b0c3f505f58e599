"""From a built int8 network to its front: what the SDK chooses, and what a search finds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.doctor.tune.experiment import Experiment, Measured
from pipelines.doctor.tune.variant import AUTO, PROPOSAL, Variant
from pipelines.files import console
from quant.report.tuning import Point, spread

BUILDS = 8  # of our own: every layer in each wide type, and the best sets
HALF, WIDE = "float16", "int16"


@dataclass(frozen=True)
class MetricGoal:
    """A limit of what the recipe's own function measures."""

    name: str
    limit: float
    is_least: bool

    def is_met(self, value: float | None) -> bool:
        if value is None:
            return False
        return value >= self.limit if self.is_least else value <= self.limit


@dataclass(frozen=True)
class Goal:
    """What is good enough; None where nothing is asked. drop_points: of accuracy below float."""

    output_error: float | None = None
    output_cosine: float | None = None
    drop_points: float | None = None
    metric: MetricGoal | None = None

    @property
    def is_given(self) -> bool:
        return any(one is not None for one in vars(self).values())

    @property
    def by(self) -> str:
        """What the search looks at."""
        return "cosine" if self.output_cosine is not None else "error"

    @property
    def simulated(self) -> float:
        """The largest error of the search that is good enough."""
        if self.output_cosine is not None:
            return 1 - self.output_cosine
        return math.inf if self.output_error is None else self.output_error

    def is_met(self, one: Measured) -> bool:
        if one.failure or one.error is None or one.cosine is None:
            return False
        drop = one.drop_points
        return (
            (self.output_error is None or one.error <= self.output_error)
            and (self.output_cosine is None or one.cosine >= self.output_cosine)
            and (self.drop_points is None or (drop is not None and drop <= self.drop_points))
            and (self.metric is None or self.metric.is_met(one.metrics.get(self.metric.name)))
        )


@dataclass(frozen=True)
class Found:
    """measured: the build as it is first. tune: tune.json, None where no layer can be chosen."""

    measured: Sequence[Measured]
    tune: Mapping[str, Any]

    def best(self, goal: Goal) -> Measured | None:
        """The fewest cycles, then bytes, that are good enough."""
        met = [one for one in self.measured if goal.is_met(one)]
        return min(met, key=lambda one: (one.cycles or 0, one.figures["bytes"]), default=None)


def tune(experiment: Experiment, every: Sequence[str], goal: Goal) -> Found:
    """every: the tensors that may be float16. Raises Failed.

    Where the platform takes no float16 layers (rv1103, rv1106), all sets are of int16: the search
    still simulates float16, of as many bits.
    """
    half = Variant(label="every layer", layers=dict.fromkeys(every, HALF))
    wide = Variant(label="every layer in int16", layers=dict.fromkeys(every, WIDE))
    vendors = [Variant(label=name, vendor=name) for name in (AUTO, PROPOSAL)]
    console.say("the SDK's own choices, and every layer in float16 and in int16:")
    *chosen, in_half, in_wide = [experiment.measured(one) for one in (*vendors, half, wide)]
    first = [*chosen, in_half, in_wide]
    if in_half.failure and in_wide.failure:
        return Found([experiment.as_it_is(), *first], {})
    console.say("searching in simulation")
    seeds = [one.variant for one in chosen if not one.failure]
    every_layer = wide if in_half.failure else half
    found = experiment.search(goal.by, every_layer, None if in_wide.failure else wide, seeds)
    console.say(f"  {found['tried']} sets of {len(found['layers'])} layers tried")
    variants = list(_variants(found, goal, is_wide=bool(in_half.failure)))
    console.say(f"building the best {len(variants)}:")
    built = [experiment.measured(variant, error) for variant, error in variants]
    return Found([experiment.as_it_is(), *first, *built], found)


def _variants(
    found: Mapping[str, Any], goal: Goal, *, is_wide: bool
) -> Iterator[tuple[Variant, float | None]]:
    """The sets to build with their simulated errors: spread over the front, and near the goal.

    is_wide: all in int16.
    """
    points = [
        Point(frozenset(one["layers"]), one["cycles"], _known(one["error"]))
        for one in found["front"]
        if 0 < len(one["layers"]) < len(found["layers"])
    ]
    near = next((i for i, one in enumerate(points) if one.error <= goal.simulated), None)
    chosen = spread(points, BUILDS - 2) if points else []
    if goal.is_given and near is not None and points[near] not in chosen:
        chosen = sorted({*chosen[1:], points[near]}, key=lambda one: one.cost)
    for one in chosen:
        layers = [found["layers"][place] for place in sorted(one.layers)]
        names = [name for layer in layers for name in layer["tensors"]]
        plural = "layer" if len(one.layers) == 1 else "layers"
        label = f"{len(one.layers)} {plural}, {_ends(found, sorted(one.layers))}"
        error = one.error if math.isfinite(one.error) else None
        if is_wide or _is_cheaper_wide(layers):
            layers_in = dict.fromkeys(names, WIDE)
            yield Variant(label=f"{label} in int16", layers=layers_in), None
        else:
            yield Variant(label=label, layers=dict.fromkeys(names, HALF)), error


def _is_cheaper_wide(layers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether int16 takes fewer cycles; both have as many bytes, and nearly the same error."""
    if any(one["wide"] is None for one in layers):
        return False
    wide, half = (math.fsum(one[form] for one in layers) for form in ("wide", "half"))
    return wide < half


def _known(error: float | None) -> float:
    return math.inf if error is None else error


def _ends(found: Mapping[str, Any], places: Sequence[int]) -> str:
    """`a` or `a ... z`: the last tensor of the first and the last layer."""
    names = [found["layers"][place]["tensors"][-1] for place in (places[0], places[-1])]
    return names[0] if len(places) == 1 else " ... ".join(names)
