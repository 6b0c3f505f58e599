"""A float TFLite file as a verified ONNX model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from quant.tflite.building.graph import Graph
from quant.tflite.compare import draw_inputs, run_litert, verify
from quant.tflite.convert import Converted, convert, refuse_unknown
from quant.tflite.dilation import fold_dilation
from quant.tflite.dynamic_range import widen
from quant.tflite.file import parse, read
from quant.tflite.inputs import Port, bind
from quant.tflite.litert import LiteRT
from quant.tflite.outputs import Chosen, choose_outputs
from quant.tflite.tables import told


@dataclass(frozen=True)
class Exported:
    """maximum_difference: output -> from LiteRT, by quant.execution.compare.

    changes: what differs from the file on purpose, one sentence each.
    """

    model: onnx.ModelProto
    maximum_difference: Mapping[str, float]
    changes: Sequence[str]


def export(
    path: Path,
    inputs: Mapping[str, Sequence[int] | None],
    outputs: Sequence[str] = (),
    name: str = "",
) -> Exported:
    """Read a .tflite file, convert it to ONNX (opset 15) and compare both on random inputs.

    inputs: input name -> wanted shape or None, see `bind`. outputs: tensors to put out instead of
    the file's own. name: what messages call the file. Raises Fault on a file that isn't a whole
    float TFLite network, on an operator without a conversion, and where LiteRT computes something
    else than the converted network.
    """
    name = name or path.name
    raw, widened = widen(read(path, name), name)
    graph, ports, wanted = read_network(raw, inputs, outputs, name)
    litert = LiteRT(raw, name)  # after the reader, which takes less of a file on trust
    litert.resize({port.index: port.shape for port in ports})
    run_litert(litert, ports, draw_inputs(graph, ports, 0))  # some shapes are known only then
    graph = graph.with_shapes(litert.shapes())
    converted = convert(graph, ports, wanted)
    found = verify(graph, converted, litert)
    said = changes(graph, converted)
    if widened:
        said.append(
            f"{widened} weights of 8 bits (dynamic range) are float32; activations, which LiteRT "
            "may round for them, are not rounded"
        )
    return Exported(converted.model, found, said)


def read_network(
    raw: bytes, inputs: Mapping[str, Sequence[int] | None], outputs: Sequence[str], name: str
) -> tuple[Graph, list[Port], list[Chosen]]:
    """The network in a file's bytes, with its inputs and outputs as `export` takes them."""
    parsed = parse(raw, name)
    with told(name):
        graph = fold_dilation(parsed)
        refuse_unknown(graph, name)
        return graph, bind(graph, inputs), choose_outputs(graph, outputs)


def changes(graph: Graph, converted: Converted) -> list[str]:
    """What differs from the file on purpose: the order of axes, names, the type of weights."""
    said = [
        sentence
        for noun, ports in (("input", converted.inputs), ("output", converted.outputs))
        for port in ports
        for sentence in port_changes(graph, noun, port)
    ]
    if graph.widened:
        said.append(f"{len(graph.widened)} float16 constants are float32")
    return said


def port_changes(graph: Graph, noun: str, port: Port) -> list[str]:
    tensor, said = graph.tensors[port.index], []
    if port.name != tensor.name:
        said.append(f"{noun} `{tensor.name}` is called `{port.name}`")
    if port.stored_shape != port.shape:
        said.append(
            f"{noun} `{port.name}` is channels first: {list(port.stored_shape)} for "
            f"{list(port.shape)}"
        )
    return said
