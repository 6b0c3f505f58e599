"""A quantized network in the simulator's arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from quant.graph.graph import Graph
from quant.simulation.copies import ENTIRE, FLOAT, SINGLE, Copies, named
from quant.simulation.schedule import Schedule, given
from quant.simulation.step1 import Step1

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Layer:
    """One tensor of one sample. entire, single: None where the simulator has no such tensor."""

    op_type: str
    tensor: str
    float: Array
    entire: Array | None
    single: Array | None


class _Run:
    """A network's steps for some copies of it."""

    def __init__(self, step1: Step1, names: Sequence[str]) -> None:
        self.graph = Graph(step1.model, is_copied=False)
        self._copies = Copies(self.graph, step1, names)
        for node in self.graph.nodes:
            self._copies.add(node)

    def schedule(self, groups: Sequence[tuple[str, ...]]) -> Schedule:
        return Schedule(self._copies.steps, groups)


class Network(_Run):
    """The outputs of a network that step 1 has written."""

    def __init__(self, step1: Step1) -> None:
        """Raises Unknown."""
        super().__init__(step1, (ENTIRE,))
        self._schedule = self.schedule([(named(ENTIRE, name),) for name in self.graph.outputs])

    def __call__(self, inputs: Arrays) -> dict[str, Array]:
        """Output name -> float32 array, in the network's order. inputs: after mean and std."""
        found = {group[0]: arrays[0] for group, arrays in self._schedule.run(given(FLOAT, inputs))}
        return {name: found[named(ENTIRE, name)] for name in self.graph.outputs}


class Layers(_Run):
    """Every tensor of a network, beside the float network's, in one run."""

    def __init__(self, step1: Step1) -> None:
        """Raises Unknown."""
        super().__init__(step1, (FLOAT, ENTIRE, SINGLE))
        self._made = {
            tensor: node.op_type for node in self.graph.nodes for tensor in node.output if tensor
        }
        self._schedule = self.schedule([self._group(tensor) for tensor in self._made])

    def is_int8(self, tensor: str) -> bool:
        """Whether the quantized network rounds a tensor to an int8 grid."""
        grid = self._copies.grid(tensor)
        return grid is not None and grid.is_integer

    def _group(self, tensor: str) -> tuple[str, ...]:
        copies = (FLOAT,) if tensor in self._copies.hidden else (FLOAT, ENTIRE, SINGLE)
        return tuple(named(copy, tensor) for copy in copies)

    def __call__(self, inputs: Arrays) -> Iterator[Layer]:
        """The layers in the graph's order, each as soon as it is there. inputs: after mean and std.

        No array is kept: hold on to one layer and all that one session gave stays.
        """
        for group, arrays in self._schedule.run(given(FLOAT, inputs)):
            tensor = group[0].partition(":")[2]
            entire, single = arrays[1:] or (None, None)
            yield Layer(self._made[tensor], tensor, arrays[0], entire, single)
