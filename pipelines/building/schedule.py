"""Which step goes next: the longest expected way to the end first, as far as memory goes. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.record.costs import Cost
from pipelines.record.step import Step

UNKNOWN = Cost(1.0, 1_000_000_000)  # of a stage that never ran here
_MOST_PASSED = 100  # steps that are looked at for one that fits: a run may have thousands


def expected(steps: Iterable[Step], recorded: Mapping[str, Cost]) -> dict[str, Cost]:
    """Step -> what it will cost: as the last time, or as its stage's others did (their median)."""
    steps = list(steps)
    by_stage: dict[str, list[Cost]] = {}
    for step in steps:
        if step.name in recorded:
            by_stage.setdefault(step.stage, []).append(recorded[step.name])
    usual = {stage: _median(costs) for stage, costs in by_stage.items()}
    return {step.name: recorded.get(step.name, usual.get(step.stage, UNKNOWN)) for step in steps}


def _median(costs: Sequence[Cost]) -> Cost:
    """Of an even number of seconds the mean of the middle two, of bytes the larger."""
    seconds, sizes = sorted(c.seconds for c in costs), sorted(c.peak_bytes for c in costs)
    middle = len(costs) // 2
    return Cost((seconds[middle] + seconds[~middle]) / 2, sizes[middle])


def tails(before: Mapping[str, Iterable[str]], seconds: Mapping[str, float]) -> dict[str, float]:
    """Step -> seconds from its start to the end of the longest chain that it begins.

    before: step -> those that it waits for, in dependency order. seconds: 0 where none is given.
    """
    found: dict[str, float] = {}
    longest: dict[str, float] = {}  # of the chains behind a step
    for name, earlier in reversed(list(before.items())):
        found[name] = seconds.get(name, 0.0) + longest.get(name, 0.0)
        for each in earlier:
            longest[each] = max(longest.get(each, 0.0), found[name])
    return found


@dataclass
class Turns:
    """Steps that could start, and what of them may. Not for several threads.

    tails: see above; the longest goes first. peaks: bytes of steps that run; others need none.
    capacity: bytes for all that run at once. A step that fits nowhere runs alone. soon: steps that
    go before all others: a process waits for each.
    """

    tails: Mapping[str, float]
    peaks: Mapping[str, int]
    capacity: int
    soon: frozenset[str] = frozenset()
    _ready: list[tuple[bool, float, int, str]] = field(default_factory=list)
    _running: dict[str, int] = field(default_factory=dict)
    _passed: set[str] = field(default_factory=set)  # run now, and went before a larger one
    _count: int = 0

    def add(self, name: str) -> None:
        """A step that waits for nothing any more."""
        self._count += 1  # equals go in the order in which they came
        turn = (name not in self.soon, -self.tails.get(name, 0.0), self._count, name)
        heapq.heappush(self._ready, turn)

    def take(self) -> str | None:
        """The step that starts now; None where none is ready, or memory has to be freed first."""
        held: list[tuple[bool, float, int, str]] = []
        chosen = None
        while self._ready and chosen is None and len(held) < _MOST_PASSED:
            each = heapq.heappop(self._ready)
            if self._may_start(each[-1], held[0][-1] if held else None):
                chosen = each[-1]
            else:
                held.append(each)
        for each in held:
            heapq.heappush(self._ready, each)
        if chosen is not None:
            self._running[chosen] = self.peaks.get(chosen, 0)
            if held:
                self._passed.add(chosen)
        return chosen

    def ended(self, name: str) -> None:
        self._running.pop(name, None)
        self._passed.discard(name)

    def __bool__(self) -> bool:
        """Whether a step is ready."""
        return bool(self._ready)

    def _may_start(self, name: str, first: str | None) -> bool:
        """first: the step that should go, and waits for memory.

        Smaller ones pass it, but only as long as it has room once those before it have ended: it
        would wait for ever behind an endless line of small ones.
        """
        peak = self.peaks.get(name, 0)
        if peak == 0 or not self._running:
            return True
        if sum(self._running.values()) + peak > self.capacity:
            return False
        if first is None:
            return True
        passed = sum(self._running[each] for each in self._passed)
        return passed + peak + self.peaks.get(first, 0) <= self.capacity
