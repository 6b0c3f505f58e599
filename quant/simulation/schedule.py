"""Running steps one after the other, and keeping no tensor longer than it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from quant.simulation.copies import Step
from quant.simulation.parts import Part

Array = npt.NDArray[Any]
Group = tuple[str, ...]


class Schedule:
    """Steps, and groups of tensors that somebody looks at together."""

    def __init__(self, steps: Sequence[Step], groups: Sequence[Group]) -> None:
        """groups: each is there as soon as the last of its tensors is."""
        self._steps = steps
        makers = {name: place for place, step in enumerate(steps) for name in step.made}
        last: dict[str, int] = {}
        for place, step in enumerate(steps):
            for name in step.inputs:
                last[name] = place
                self._want(name, makers.get(name, place), place)
        self._groups: list[list[Group]] = [[] for _ in steps]
        for group in groups:
            place = max(makers.get(name, 0) for name in group)
            self._groups[place].append(group)
            for name in group:
                last[name] = max(place, last.get(name, 0))
                self._want(name, makers.get(name, -1), len(steps))
        self._over: list[list[str]] = [[] for _ in steps]
        for name, place in last.items():
            self._over[place].append(name)

    def _want(self, name: str, maker: int, reader: int) -> None:
        """Have a session give a tensor that is read outside it."""
        if 0 <= maker < reader:
            step = self._steps[maker]
            if isinstance(step, Part):
                step.wanted[name] = None

    def run(self, inputs: Mapping[str, Array]) -> Iterator[tuple[Group, list[Array]]]:
        """Each group with its arrays, in order of the steps that complete them."""
        tensors = dict(inputs)
        for step, groups, over in zip(self._steps, self._groups, self._over, strict=True):
            tensors.update(step.run(tensors))
            for group in groups:
                yield group, [tensors[name] for name in group]
            for name in over:
                tensors.pop(name, None)


def given(copy: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays of a network's inputs as steps read them."""
    return {f"{copy}:{name}": np.ascontiguousarray(array) for name, array in inputs.items()}
