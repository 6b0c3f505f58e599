"""Running a float graph in onnxruntime, the same way every time."""

from __future__ import annotations

import math
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from quant.execution.random_inputs import DRAWS, random_inputs
from quant.fault import Fault
from quant.graph.analysis import quantized
from quant.graph.names import uses
from quant.graph.types import input_types, require_static

_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_NODE = re.compile(r"while running (\w+) node\. Name:'(.*?)' Status Message: (.*)", re.DOTALL)
_SOURCE = re.compile(r"^/\S+:\d+ .*? was false\. ", re.DOTALL)

Arrays = Mapping[str, npt.NDArray[np.generic]]
Results = dict[str, npt.NDArray[np.generic]]
_AHEAD = 2
_QUICK_S = 0.002
_LARGE = 1 << 16  # bytes


class FloatRun:
    """A model in an onnxruntime session.

    One thread and no graph optimization: the result is then that of the graph as it is written, and
    does not depend on the number of cores. Optimized convolutions add in blocks of the processor's
    vector length.
    """

    def __init__(self, model: onnx.ModelProto | Path, weights: Results | None = None) -> None:
        """weights: of a model that has a `stub` for each that is large.

        Raises Fault where onnxruntime can't load the model.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = level
        options.log_severity_level = 4  # errors are raised as well
        source, self._weights = _source(model, weights)
        _give(self._weights, options)
        try:
            self._session = onnxruntime.InferenceSession(
                source, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            raise Fault(
                f"onnxruntime cannot load the graph: {_told(error)}",
                _load_advice(model),
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
        """Samples with their outputs, in order. Two run while the one before is made use of.

        Not so of a network whose run ends before another thread would have begun it.
        """
        rest, slow = iter(samples), 0
        for sample in rest:
            begun = time.perf_counter()
            made = self(sample)
            slow += time.perf_counter() - begun > _QUICK_S
            yield sample, made
            del sample, made
            if slow > 1:  # the first one may have been the only one
                yield from self._ahead(rest)

    def _ahead(self, samples: Iterator[Arrays]) -> Iterator[tuple[Arrays, Results]]:
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


def is_large(array: npt.NDArray[np.generic]) -> bool:
    """Whether a model that holds it would take long to write and to parse."""
    return array.dtype == np.float32 and array.nbytes >= _LARGE


def stub(name: str, shape: Iterable[int]) -> onnx.TensorProto:
    """A float32 weight whose numbers are given beside the model."""
    made = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=shape)
    made.data_location = onnx.TensorProto.EXTERNAL
    place = {"location": "memory", "offset": "0", "length": str(4 * math.prod(made.dims))}
    for key, value in place.items():
        made.external_data.add(key=key, value=value)
    return made


def _source(model: onnx.ModelProto | Path, given: Results | None) -> tuple[str | bytes, Results]:
    """What onnxruntime opens, and the large weights, which it reads where they are.

    A model's text with all weights in it is written and parsed at 0.5 GB/s, and held twice.
    """
    if isinstance(model, Path):
        return str(model), {}
    if given is not None:
        return model.SerializeToString(), given
    graph, bare, weights = model.graph, onnx.ModelProto(), Results()
    bare.ir_version = model.ir_version
    bare.opset_import.extend(model.opset_import)
    bare.functions.extend(model.functions)
    bare.graph.name = graph.name
    for part in ("node", "input", "output", "value_info", "sparse_initializer"):
        getattr(bare.graph, part).extend(getattr(graph, part))
    # Of others, onnxruntime drops those that nothing reads, and asks inputs for a value.
    read = {name for node in graph.node for name in uses(node)}
    read |= {value.name for value in graph.output}
    read -= {value.name for value in graph.input}
    for tensor in graph.initializer:
        data = tensor.raw_data if tensor.data_type == onnx.TensorProto.FLOAT else b""
        if len(data) < _LARGE or tensor.name not in read:
            bare.graph.initializer.append(tensor)
            continue
        weights[tensor.name] = np.frombuffer(data, "<f4").reshape(tensor.dims)
        bare.graph.initializer.append(stub(tensor.name, tensor.dims))
    return bare.SerializeToString(), weights


def _give(weights: Results, options: onnxruntime.SessionOptions) -> None:
    """Must be kept as long as the session: it does not copy them."""
    if weights:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in weights.values()]
        options.add_external_initializers(list(weights), values)


def _load_advice(model: onnx.ModelProto | Path) -> str:
    if isinstance(model, onnx.ModelProto):
        form, operator = quantized.form(model.graph)
        if form == quantized.DYNAMIC:
            return f"{operator} is of dynamic quantization: give the float network"
    return "export with standard operators, or another opset"


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
