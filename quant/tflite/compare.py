"""A converted model held against LiteRT, on the same random inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.execution.compare import difference, differences, require_close
from quant.execution.random_inputs import DRAWS, random_inputs
from quant.execution.run import FloatRun
from quant.graph.types import TensorType
from quant.tflite.building.graph import Graph
from quant.tflite.building.layout import inverse
from quant.tflite.convert import Converted
from quant.tflite.inputs import Port
from quant.tflite.litert import LiteRT

Arrays = Mapping[str, NDArray[Any]]

# Two float32 implementations add in different orders. A sum of K products then differs by about
# sqrt(K) * 2^-24: 1e-5 at K = 30,000. A network has tens of such layers behind each other.
TOLERANCE = 1e-4


def draw_inputs(graph: Graph, ports: Sequence[Port], draw: int) -> Arrays:
    """Random inputs by name, as the ONNX model takes them."""
    types = {p.name: TensorType(p.stored_shape, str(graph.tensors[p.index].dtype)) for p in ports}
    return random_inputs(types, draw)


def run_litert(litert: LiteRT, ports: Sequence[Port], inputs: Arrays) -> None:
    """Run the TFLite network on what the ONNX model takes."""
    litert.run({p.index: inputs[p.name].transpose(inverse(p.order)) for p in ports})


def verify(graph: Graph, converted: Converted, litert: LiteRT) -> dict[str, float]:
    """Output -> largest difference from LiteRT over seeded random inputs, by
    quant.execution.compare.

    litert: resized to the inputs' shapes. Raises Fault above TOLERANCE, naming the first operator
    whose result differs.
    """
    run = FloatRun(converted.model)
    found: dict[str, float] = {}
    for draw in range(DRAWS):
        inputs = draw_inputs(graph, converted.inputs, draw)
        run_litert(litert, converted.inputs, inputs)
        expected = {p.name: litert.value(p.index).transpose(p.order) for p in converted.outputs}
        for name, value in differences([expected], [run(inputs)]).items():
            found[name] = max(value, found.get(name, 0.0))
        if max(found.values()) > TOLERANCE:
            culprit = first_difference(graph, converted, litert, inputs)
            require_close(found, TOLERANCE, *blame(litert.name, culprit))
    return found


def blame(name: str, culprit: str | None) -> tuple[str, str]:
    """What to say of a conversion that isn't exact, and what to do."""
    place = f" (first in {culprit})" if culprit else ""
    return (
        f"{name}: the converted network is not what LiteRT computes{place}",
        "this is a defect of the conversion; until it is mended, `rknn: {load: direct}` hands the "
        "file to the SDK's own reader",
    )


def first_difference(
    graph: Graph, converted: Converted, litert: LiteRT, inputs: Arrays
) -> str | None:
    """The first TFLite operator whose result differs, in words; litert holds the same run."""
    computed = {name for node in converted.model.graph.node for name in node.output}
    held = {
        index: value
        for index, value in converted.values.items()
        if value.columns is None and value.name in computed
    }
    results = run_all(converted.model, sorted({v.name for v in held.values()}), inputs)
    for op in graph.ops:
        for index in op.outputs:
            if index in held:
                reference = litert.value(index).transpose(held[index].order)
                if not agree(reference, results[held[index].name]):
                    return graph.describe(op)
    return None


def agree(reference: NDArray[Any], result: NDArray[Any]) -> bool:
    if reference.shape != result.shape or reference.dtype != result.dtype:
        return False
    apart = difference(reference, result)
    return bool(np.isnan(apart)) or apart <= TOLERANCE


def run_all(model: onnx.ModelProto, names: Sequence[str], inputs: Arrays) -> Arrays:
    """The values of tensors inside a model."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    present = {output.name for output in model.graph.output}
    opened.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in present)
    return FloatRun(opened)(inputs)
