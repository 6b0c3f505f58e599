"""The network behind a job, as a diagnosis wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx

from pipelines.backends.rknn.params import RknnParams
from pipelines.backends.rknn.sdk.refusals.diagnosis import Patient
from pipelines.run.jobs.job import Job
from quant.execution.random_inputs import random_inputs
from quant.execution.run import FloatRun
from quant.graph.file import read
from quant.graph.types import input_types
from quant.report import source_network_onnx
from quant.report.source_network import SourceNetwork


def patient(job: Job[RknnParams]) -> Callable[[list[str]], Patient]:
    """Rules that are left out -> the network that the job hands to the SDK. Read when asked.

    It has no nodes where the SDK reads another format than ONNX itself.
    """

    def now(left_out: list[str]) -> Patient:
        target = job.params.target
        if job.params.source_kind != "onnx":
            return Patient(SourceNetwork([], {}, []), target, left_out=left_out)
        model = read(job.inputs["model"])
        return Patient(
            source_network_onnx.read(model),
            target,
            left_out=left_out,
            idle_inputs=lambda: list(idle_inputs(model)),
        )

    return now


def idle_inputs(model: onnx.ModelProto) -> Iterator[str]:
    """Inputs that change no output of a network when other random values are put in."""
    types = input_types(model)
    run, (first, other) = FloatRun(model), (random_inputs(types, draw) for draw in range(2))
    expected = run(first)
    for name in types:
        outputs = run({**first, name: other[name]})
        if all(np.array_equal(outputs[one], expected[one], equal_nan=True) for one in outputs):
            yield name
