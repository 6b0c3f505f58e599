"""Running a float graph in onnxruntime, the same way every time."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from quant.fault import Fault
from quant.graph_types import input_types, require_static
from quant.random_inputs import DRAWS, random_inputs

_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_NODE = re.compile(r"while running (\w+) node\. Name:'(.*?)' Status Message: (.*)", re.DOTALL)
_SOURCE = re.compile(r"^/\S+:\d+ .*? was false\. ", re.DOTALL)

Arrays = Mapping[str, npt.NDArray[np.generic]]
Results = dict[str, npt.NDArray[np.generic]]
_AHEAD = 2


class FloatRun:
    """A model in an onnxruntime session.

    One thread and no graph optimization: the result is then that of the graph as it is written, and
    does not depend on the number of cores.
    """

    def __init__(self, model: onnx.ModelProto | Path) -> None:
        """Raises Fault where onnxruntime can't load the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4  # errors are raised as well
        source = str(model) if isinstance(model, Path) else model.SerializeToString()
        try:
            self._session = onnxruntime.InferenceSession(
                source, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            raise Fault(
                f"onnxruntime cannot load the graph: {_told(error)}",
                "export with standard operators, or another opset",
            ) from error
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def __call__(self, inputs: Arrays) -> Results:
        """Output name -> array, in the graph's order. Raises Fault where the graph can't run."""
        try:
            arrays = self._session.run(None, dict(inputs))
        except Exception as error:
            raise Fault(
                f"onnxruntime cannot run the graph: {_told(error)}",
                "the graph does not fit its input shapes, or the export is broken",
            ) from error
        return dict(zip(self.outputs, arrays, strict=True))

    def each(self, samples: Iterable[Arrays]) -> Iterator[tuple[Arrays, Results]]:
        """Samples with their outputs, in order. Two run while the one before is made use of."""
        waiting: deque[tuple[Arrays, Future[Results]]] = deque()
        with ThreadPoolExecutor(_AHEAD) as pool:
            for sample in samples:
                waiting.append((sample, pool.submit(self, sample)))
                del sample
                if len(waiting) > _AHEAD:
                    yield _next(waiting)
            while waiting:
                yield _next(waiting)


def run_random(model: onnx.ModelProto) -> list[dict[str, npt.NDArray[np.generic]]]:
    """Outputs of a model, its input shapes all known, for every draw of seeded random inputs."""
    types = input_types(model)
    require_static(types, "input", "declare its `shape` in the recipe")
    run = FloatRun(model)
    return [run(random_inputs(types, draw)) for draw in range(DRAWS)]


def _told(error: Exception) -> str:
    """onnxruntime's message without its error codes, source paths and C++ signatures."""
    text = _PREFIX.sub("", str(error).strip())
    found = _NODE.search(text)
    if found is None:
        return text.splitlines()[0]
    operator, name, message = found.groups()
    return f"{operator} `{name}`: {_SOURCE.sub('', message).splitlines()[0]}"


def _next(waiting: deque[tuple[Arrays, Future[Results]]]) -> tuple[Arrays, Results]:
    sample, future = waiting.popleft()
    return sample, future.result()
