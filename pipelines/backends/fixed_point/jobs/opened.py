"""What build made, read again, beside the float network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.backends.fixed_point.jobs.files import Files, options_of
from pipelines.backends.fixed_point.jobs.params import ModelParams
from pipelines.backends.fixed_point.jobs.prepared import Prepared
from pipelines.backends.fixed_point.recipe.options import FixedPoint
from pipelines.run.jobs.decode import decoded
from pipelines.run.jobs.job import Job
from pipelines.stages.compare.jobs.float_network import Array, FloatNetwork, Outputs
from quant.execution.run import FloatRun
from quant.report import integer_build


@dataclass(frozen=True)
class Opened:
    """prepared: what quantize left. files: what build made of it."""

    prepared: Prepared
    files: Files
    network: FloatNetwork
    _integer: FloatRun

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
        real = FloatNetwork(job.inputs["float"], job.params, names)
        return cls(prepared, files, real, FloatRun(files.model()))

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.network.inputs

    def feeds(self, arrays: Sequence[Array]) -> Outputs:
        """A sample's arrays, one for each of `inputs`, as both networks take them."""
        return self.network.feeds(self.inputs, arrays)

    def float_run(self, feeds: Outputs) -> Outputs:
        """The outputs that both networks have, in the built one's order."""
        found = self.network.run(feeds)
        return {name: found[name] for name in self._integer.outputs}

    def integer_run(self, feeds: Outputs) -> Outputs:
        return dict(self._integer(feeds))
