"""What build made, read again, beside the float network."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.backends.fixed_point.jobs.files import Files, options_of
from pipelines.backends.fixed_point.jobs.params import ModelParams
from pipelines.backends.fixed_point.jobs.prepared import Prepared
from pipelines.backends.fixed_point.recipe.options import FixedPoint
from pipelines.run.jobs.decode import decoded
from pipelines.run.jobs.job import Job
from pipelines.stages.compare.jobs.float_network import FloatNetwork
from pipelines.stages.compare.jobs.opened import OpenedPair
from quant.execution.run import FloatRun
from quant.report import integer_build


@dataclass(frozen=True)
class Opened(OpenedPair):
    """prepared: what quantize left. files: what build made of it."""

    prepared: Prepared
    files: Files

    @classmethod
    def of(cls, job: Job[ModelParams]) -> Opened:
        """From the step's inputs; the options are those that build recorded."""
        prepared = Prepared.read(job.inputs["quantize"])
        # Files built before there was a choice do not tell it: the default is what they had.
        told = decoded(FixedPoint, integer_build.read(job.inputs["build.json"]).options)
        network = prepared.lowered(options_of(told))
        tflite = job.inputs.get("artifact.tflite")
        files = Files(
            network,
            job.inputs["artifact.onnx"].read_bytes(),
            tflite.read_bytes() if tflite else None,
        )
        names = [output.name for output in network.outputs]
        real = FloatNetwork(job.inputs.get("cut", job.inputs["float"]), job.params, names)
        return cls(real, FloatRun(files.model()), prepared, files)
