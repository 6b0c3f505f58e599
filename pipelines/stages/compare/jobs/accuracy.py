"""Accuracy on labelled data: how often the highest score is the label's, an output at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.files.where import did_you_mean
from pipelines.run.jobs.refusal import Refusal
from pipelines.stages.samples.jobs.prepared_samples import LabelledSamples
from quant.report.metrics import top1
from quant.samples.label_files import FIRST

Array = NDArray[Any]
Scores = dict[str, Array]  # output, or FIRST -> [N, classes]
# Arrays of one sample, one an input -> output -> array.
Network = Callable[[Sequence[Array]], Mapping[str, Array]]


def scores(labelled: LabelledSamples, network: Network) -> Scores:
    """What a network makes of every sample, for each output that has labels."""
    rows: dict[str, list[Array]] = {output: [] for output in labelled.labels}
    for one in labelled.samples():
        outputs = network(one)
        for output, found in rows.items():
            found.append(_of(outputs, output).ravel())
    return {output: np.stack(found) for output, found in rows.items()}


def _of(outputs: Mapping[str, Array], output: str) -> Array:
    if output == FIRST:
        return next(iter(outputs.values()))
    if output not in outputs:
        raise Refusal(
            f"`evaluate.labels` names the output `{output}`, which the network does not have",
            did_you_mean(output, outputs, "its outputs"),
        )
    return outputs[output]


def accuracy(labelled: LabelledSamples, runs: Mapping[str, Scores]) -> dict[str, Any]:
    """For each of `runs` the share of samples that get their label, mean over the outputs.

    With several outputs, or named ones, `outputs` has the same of each.
    """
    by_output = {
        output: {name: top1(found[output], labels) for name, found in runs.items()}
        for output, labels in labelled.labels.items()
    }
    return combined(by_output, len(labelled))


def agreement(one: Scores, other: Scores) -> dict[str, float]:
    """Output -> share of samples that get the same class in both."""
    return {
        output: float(np.mean(found.argmax(axis=1) == other[output].argmax(axis=1)))
        for output, found in one.items()
    }


def combined(by_output: Mapping[str, Mapping[str, float]], samples: int) -> dict[str, Any]:
    """Means over the outputs, the number of samples, and the outputs' own where they are named."""
    first = next(iter(by_output.values()))
    mean = {
        name: math.fsum(found[name] for found in by_output.values()) / len(by_output)
        for name in first
    }
    named = {} if FIRST in by_output else {"outputs": {o: dict(f) for o, f in by_output.items()}}
    return {"samples": samples, **mean, **named}
