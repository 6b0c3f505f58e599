"""Running a network that was cut, and its tail, as the whole that they were."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx

from quant.execution.run import Arrays, FloatRun
from quant.graph.types import input_types


class CutRun:
    """The network gives what its tail takes, by name; outputs that the tail lacks are its own."""

    def __init__(self, network: onnx.ModelProto, tail: onnx.ModelProto) -> None:
        """Raises Fault where onnxruntime can't load one of them."""
        self._network = FloatRun(network)
        self._tail = FloatRun(tail)
        self._between = tuple(input_types(tail))

    def __call__(self, inputs: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """Output name -> array, of both."""
        heads = self._network(inputs)
        return {**heads, **self._tail({name: heads[name] for name in self._between})}
