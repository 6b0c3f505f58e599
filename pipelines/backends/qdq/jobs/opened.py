"""What build made, read again, beside the float network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from pipelines.backends.qdq.jobs.params import QdqParams
from pipelines.run.jobs.job import Job
from pipelines.stages.compare.jobs.float_network import Array, FloatNetwork, Outputs
from quant.execution.run import FloatRun
from quant.graph.file import read


@dataclass(frozen=True)
class Opened:
    """model: NAME_qdq.onnx. source: the graph that it was made from. network: the float one, before
    any change.

    All run as they are written, without onnxruntime's optimizations: these put integer kernels in
    the place of operators between DequantizeLinear and QuantizeLinear, some of which saturate on
    processors without VNNI, and drop a coarse rounding before a finer one.
    """

    model: onnx.ModelProto
    source: onnx.ModelProto
    network: FloatNetwork
    _run: FloatRun

    @classmethod
    def of(cls, job: Job[QdqParams]) -> Opened:
        """From the step's inputs."""
        model = read(job.inputs["artifact.onnx"])
        names = [output.name for output in model.graph.output]
        network = FloatNetwork(job.inputs["float"], job.params, names)
        return cls(model, read(job.inputs["model"]), network, FloatRun(model))

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.network.inputs

    def feeds(self, arrays: Sequence[Array]) -> Outputs:
        """A sample's arrays, one for each of `inputs`, as both networks take them."""
        return self.network.feeds(self.inputs, arrays)

    def float_run(self, feeds: Outputs) -> Outputs:
        """The outputs that both networks have, in the built one's order."""
        found = self.network.run(feeds)
        return {name: found[name] for name in self._run.outputs}

    def qdq_run(self, feeds: Outputs) -> Outputs:
        return dict(self._run(feeds))
