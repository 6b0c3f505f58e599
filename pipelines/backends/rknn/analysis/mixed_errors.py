"""Sets of float16 layers of a quantized network, judged on its samples in our own simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.backends.rknn.analysis.end_to_end import Outputs, compare, reference
from pipelines.backends.rknn.analysis.simulation import feeds
from pipelines.backends.rknn.params import RknnParams
from pipelines.run.jobs.job import Job
from pipelines.stages.samples.jobs import prepared_samples
from quant.graph.graph import Graph
from quant.report.tuning import Chosen
from quant.simulation.mixed import Mixed

# Elements of tensors to compute in all, and sets for a small or a large network.
ELEMENTS, MOST, LEAST = 400_000_000, 600, 4


def evaluations(layers: int, elements: int) -> int:
    """How many sets of `layers` layers to try. elements: of one sample's tensors."""
    return max(LEAST * layers, min(MOST, ELEMENTS // max(1, elements)))


@dataclass(frozen=True)
class FedSamples:
    """fed: as the compiled network takes them. expected: the float network's outputs."""

    fed: Sequence[Outputs]
    expected: Sequence[Outputs]

    @classmethod
    def read(cls, job: Job[RknnParams], graph: Graph, told: Mapping[str, Any]) -> FedSamples:
        """graph: step 1's. told: its config.json."""
        samples = prepared_samples.read(job, told["inputs"])
        whole = reference(job, list(graph.outputs))
        arrays = list(samples.arrays())
        fed = [feeds(graph.inputs, one, job.params, told["config"]) for one in arrays]
        return cls(fed, [whole(samples.inputs, one) for one in arrays])

    def compared(self, made: Iterable[Outputs]) -> dict[str, Any]:
        """What `compare` says of a network's outputs, one sample after the other."""
        outputs, _ = compare(
            (expected, _named(expected, found))
            for expected, found in zip(self.expected, made, strict=False)
        )
        return outputs


def _named(expected: Outputs, made: Outputs) -> Outputs:
    """By the float network's names, where the SDK gave others."""
    names = made if set(made) == set(expected) else expected
    return {name: np.asarray(array) for name, array in zip(names, made.values(), strict=True)}


@dataclass(frozen=True)
class MixedErrors:
    """The error of a set of layers in float16. count: how many samples it looks at.

    judged: one number of what `compare` says; the higher the worse.
    """

    network: Mixed
    samples: FedSamples
    count: int
    judged: Callable[[Mapping[str, Any]], float]

    def __call__(self, chosen: Chosen) -> float:
        return self.judged(self.samples.compared(self._made(chosen)))

    def _made(self, chosen: Chosen) -> Iterator[Outputs]:
        for number in range(self.count):
            yield self.network(number, self.samples.fed[number], chosen)
