"""A TFLite graph as an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx

from quant.fault import Fault
from quant.tflite.building.builder import Builder
from quant.tflite.building.graph import Graph
from quant.tflite.building.layout import CHANNELS_FIRST, plain
from quant.tflite.building.value import Value
from quant.tflite.inputs import Port, possible_orders
from quant.tflite.model import final_names, model_proto
from quant.tflite.ops import CONVERTERS
from quant.tflite.outputs import Chosen
from quant.tflite.tables import told


@dataclass(frozen=True)
class Converted:
    """inputs, outputs: the model's, in order. values: TFLite tensor -> what holds it in ONNX."""

    model: onnx.ModelProto
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    values: Mapping[int, Value]


def convert(graph: Graph, inputs: Sequence[Port], outputs: Sequence[Chosen]) -> Converted:
    """The ONNX model that computes the tensors `outputs` from `inputs`.

    graph: with operators that all have a conversion, and the shapes that belong to `inputs`.
    4-D tensors are kept N, C, H, W wherever an operator makes them so, outputs too unless the
    recipe keeps an input N, H, W, C; Transpose stands only where an operator needs another order.
    Raises Fault, naming the operator, on what can't be converted exactly.
    """
    with told("the TFLite file"):
        return _convert(graph, inputs, outputs)


def _convert(graph: Graph, inputs: Sequence[Port], outputs: Sequence[Chosen]) -> Converted:
    b = Builder(graph)
    for given in inputs:
        tensor = graph.tensors[given.index]
        name = b.provisional(given.name)
        b.values[given.index] = Value(name, given.shape, given.order, tensor.dtype)
    for op in graph.ops:
        b.op = op
        with told(graph.describe(op)):
            CONVERTERS[op.kind](b)
    made = distinct(b, [output(b, chosen, inputs) for chosen in outputs])
    final = final_names(b, inputs, made)
    return Converted(
        model=model_proto(b, inputs, made, final),
        inputs=inputs,
        outputs=[replace(port, name=final[name]) for port, name in made],
        values={
            index: replace(value, name=final[value.name])
            for index, value in b.values.items()
            if value.array is None and value.name in final
        },
    )


def refuse_unknown(graph: Graph, name: str) -> None:
    """Raise Fault where an operator is in no table: the first of each kind is described."""
    unknown = {op.kind: op for op in reversed(graph.ops) if op.kind not in CONVERTERS}
    if unknown:
        lines = [graph.describe(op) for op in sorted(unknown.values(), key=lambda o: o.index)]
        raise Fault(
            f"{name}: no conversion to ONNX for " + "; ".join(lines),
            "export the network to ONNX from its own framework (`source: {onnx: ...}` or "
            "`source: {keras: ...}`), or hand the file to the SDK's own reader with "
            f"`rknn: {{load: direct}}`; operators with a conversion: {', '.join(CONVERTERS)}",
        )


def output(b: Builder, chosen: Chosen, inputs: Sequence[Port]) -> tuple[Port, str]:
    """An output and the ONNX tensor that holds it."""
    index, label = chosen
    b.op = b.graph.producers.get(index, b.op)
    value = b.tensor_value(index)
    as_preferred = all(p.order == possible_orders(b.graph, p.index)[0] for p in inputs)
    keep = value.order == CHANNELS_FIRST and as_preferred
    order = CHANNELS_FIRST if keep else plain(value.rank)
    port = Port(index, label, value.shape, order)
    return port, b.stored(value, order)


def distinct(b: Builder, outputs: Sequence[tuple[Port, str]]) -> list[tuple[Port, str]]:
    """The outputs, each made by a node: an input, a constant or a repeated tensor is copied."""
    computed = {name for node in b.nodes for name in node.output}
    result: list[tuple[Port, str]] = []
    for port, name in outputs:
        if name not in computed:
            name = b.emit("Identity", [name])
        computed.discard(name)
        result.append((port, name))
    return result
