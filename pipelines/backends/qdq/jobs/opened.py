"""What build made, read again, beside the float network."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from pipelines.backends.qdq.jobs.params import QdqParams
from pipelines.run.jobs.job import Job
from pipelines.stages.compare.jobs.float_network import FloatNetwork
from pipelines.stages.compare.jobs.opened import OpenedPair
from quant.execution.run import FloatRun
from quant.graph.file import read


@dataclass(frozen=True)
class Opened(OpenedPair):
    """model: NAME_qdq.onnx. source: the graph that it was made from.

    All run as they are written, without onnxruntime's optimizations: these put integer kernels in
    the place of operators between DequantizeLinear and QuantizeLinear, some of which saturate on
    processors without VNNI, and drop a coarse rounding before a finer one.
    """

    model: onnx.ModelProto
    source: onnx.ModelProto

    @classmethod
    def of(cls, job: Job[QdqParams]) -> Opened:
        """From the step's inputs."""
        model = read(job.inputs["artifact.onnx"])
        names = [output.name for output in model.graph.output]
        network = FloatNetwork(job.inputs.get("cut", job.inputs["float"]), job.params, names)
        return cls(network, FloatRun(model), model, read(job.inputs["model"]))
