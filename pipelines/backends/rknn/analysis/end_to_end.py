"""The compiled network in the SDK's simulator or on a board, beside the float one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.backends.rknn.params import RknnParams
from pipelines.backends.rknn.sdk import samples as sdk_samples
from pipelines.backends.rknn.sdk.api import Sdk
from pipelines.run.jobs.job import Job
from pipelines.stages.compare.jobs import float_network
from pipelines.stages.compare.jobs.comparison import compare
from pipelines.stages.compare.jobs.float_network import Array, Outputs
from quant.fault import Fault

__all__ = ["Array", "FloatNetwork", "Outputs", "Runner", "Simulator", "compare", "reference"]


class FloatNetwork(float_network.FloatNetwork):
    """The float network on what the compiled one gets: a frame's pixels where that takes frames."""

    def __init__(self, model: Path, params: RknnParams, outputs: Sequence[str]) -> None:
        super().__init__(model, params, outputs)
        self._params = params

    def __call__(self, names: Sequence[str], arrays: Sequence[Array]) -> Outputs:
        return super().__call__(names, sdk_samples.seen(arrays, self._params))


def reference(job: Job[RknnParams], outputs: Sequence[str]) -> FloatNetwork:
    """The float network that a build is held against; a cut one is its own."""
    return FloatNetwork(job.inputs.get("cut", job.inputs["float"]), job.params, outputs)


class Runner:
    """A compiled network where the SDK was told to run it; takes the float network's samples."""

    def __init__(self, sdk: Sdk, outputs: Sequence[str], params: RknnParams) -> None:
        """outputs: names, in the order of the .rknn file."""
        self._sdk = sdk
        self._params = params
        self._batch = params.quantize.rknn_batch_size or 1
        self.outputs = outputs

    def __call__(self, arrays: Sequence[Array]) -> Outputs:
        """Output name -> float32 array. Raises Fault where the SDK returns another number."""
        return self.run(sdk_samples.given(arrays, self._params))

    def run(self, given: Sequence[Array]) -> Outputs:
        """The same of arrays as `sdk_samples.given` makes them."""
        filled = [np.repeat(array, self._batch, axis=0) for array in given]
        found = self._sdk.infer(filled, ["nchw"] * len(filled))
        if len(found) != len(self.outputs):
            raise Fault(f"the SDK returned {len(found)} of {len(self.outputs)} outputs")
        return {
            name: array[: len(array) // self._batch] if array.ndim else array
            for name, array in zip(self.outputs, found, strict=True)
        }


class Simulator(Runner):
    """A network that was compiled in this Sdk, in its simulator."""

    def __init__(self, sdk: Sdk, outputs: Sequence[str], params: RknnParams) -> None:
        super().__init__(sdk, outputs, params)
        sdk.start_simulator()
