"""Which few layers to compute in a wider type: a search of sets of layers, by cost and error.

Up to EXHAUSTIVE layers, every set. Beyond: layers are ranked by what is lost where only they stay
narrow, and by what is won where only they are wide; sets grow along these orders and along the
network's ends, then the best found so far are changed by a layer. The result is what is not
dominated of all that was tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations

EXHAUSTIVE = 12
Chosen = frozenset[int]


@dataclass(frozen=True)
class Point:
    """A set of layers, its cost, and its error; both the lower the better."""

    layers: Chosen
    cost: float
    error: float


@dataclass
class Search:
    """layers: that may be chosen, in the network's order. evaluations: how many sets at most.

    cost, error: of a set; the error is the dear one.
    """

    layers: Sequence[int]
    cost: Callable[[Chosen], float]
    error: Callable[[Chosen], float]
    evaluations: int
    tried: dict[Chosen, Point] = field(default_factory=dict)

    @property
    def is_exhaustive(self) -> bool:
        return len(self.layers) <= EXHAUSTIVE

    def run(self, seeds: Iterable[Chosen] = ()) -> list[Point]:
        """The front, cheapest first. seeds: sets to try in any case."""
        every = frozenset(self.layers)
        for chosen in (frozenset[int](), every, *seeds):
            self._try(chosen & every)
        if self.is_exhaustive:
            for chosen in subsets(self.layers):
                self._try(chosen)
            return front(self.tried.values())
        for chosen in self._grown():
            if len(self.tried) < self.evaluations:
                self._try(chosen)
        self._improve()
        return front(self.tried.values())

    def _try(self, chosen: Chosen) -> Point:
        if chosen not in self.tried:
            self.tried[chosen] = Point(chosen, self.cost(chosen), self.error(chosen))
        return self.tried[chosen]

    def _grown(self) -> Iterator[Chosen]:
        """Sets that grow by a layer, along several orders."""
        every, none = frozenset(self.layers), frozenset[int]()
        lost = {one: self._try(every - {one}).error for one in self.layers}
        won = {one: -self._try(frozenset((one,))).error for one in self.layers}
        base = self.cost(none)
        dear = {one: max(self.cost(frozenset((one,))) - base, 1.0) for one in self.layers}
        least = self.tried[every].error
        by_price = {one: (lost[one] - least) / dear[one] for one in self.layers}
        orders = (
            _descending(self.layers, lost),
            _descending(self.layers, won),
            _descending(self.layers, by_price),
            list(reversed(self.layers)),
            list(self.layers),
        )
        grown = [[frozenset(order[:n]) for n in range(1, len(order))] for order in orders]
        yield from (chosen for step in zip(*grown, strict=True) for chosen in step)

    def _improve(self) -> None:
        """Change the front's sets by a layer, for as long as that is worth trying."""
        done: set[Chosen] = set()
        while len(self.tried) < self.evaluations:
            new = [point for point in front(self.tried.values()) if point.layers not in done]
            if not new:
                return
            for point in new:
                done.add(point.layers)
                for one in self.layers:
                    if len(self.tried) < self.evaluations:
                        self._try(point.layers ^ {one})


def subsets(layers: Sequence[int]) -> Iterator[Chosen]:
    sizes = (combinations(layers, count) for count in range(len(layers) + 1))
    yield from map(frozenset, chain.from_iterable(sizes))


def _descending(layers: Sequence[int], by: Mapping[int, float]) -> list[int]:
    return sorted(layers, key=lambda one: (-by[one], one))


def front(points: Iterable[Point]) -> list[Point]:
    """Those that no other is better than in one and as good as in the other; cheapest first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, p.error, len(p.layers), sorted(p.layers))):
        if not kept or point.error < kept[-1].error:
            kept.append(point)
    return kept


def spread(points: Sequence[Point], count: int) -> list[Point]:
    """At most `count` points of a front: both ends, and those between that cut the error most."""
    if len(points) <= count:
        return list(points)
    chosen = {0, len(points) - 1}
    while len(chosen) < count:
        chosen.add(
            max(set(range(len(points))) - chosen, key=lambda one: _area(points, chosen, one))
        )
    return [points[one] for one in sorted(chosen)]


def _area(points: Sequence[Point], chosen: set[int], one: int) -> float:
    """How much of the plane a point adds: cost below the next one's, error below the last one's."""
    before = points[max(other for other in chosen if other < one)]
    after = points[min(other for other in chosen if other > one)]
    return (after.cost - points[one].cost) * (before.error - points[one].error)
