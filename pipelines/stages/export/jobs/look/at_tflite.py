"""look at a TFLite file (toolchain core): its inputs, as the ONNX graph will take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.run.jobs.job import Job
from pipelines.stages.export.jobs.look.seen import Look
from pipelines.stages.export.jobs.params import LookParams
from pipelines.stages.export.jobs.source_file import source_file
from quant.tflite.building.graph import Graph
from quant.tflite.dynamic_range import widen
from quant.tflite.file import indices, parse, read
from quant.tflite.metadata import TensorNotes, read_labels, read_metadata
from quant.tflite.tables import unpack

_LABELS_TOLD = 4
_OWN_ORDER = "the file has it as {}; the ONNX graph made of it has the channels first"


def run(job: Job[LookParams]) -> None:
    name = job.params.source.file
    whole = read(source_file(job), name)
    raw, _ = widen(whole, name)
    graph, model = parse(raw, name), unpack(raw, name)
    look = Look({}, "TFLite")
    inputs = {}
    for index in graph.inputs:
        tensor, label = graph.tensors[index], graph.label(index)
        shape = [length if length > 0 else None for length in tensor.signature]
        if len(shape) == 4:
            look.shape_reasons[label] = {"reason": _OWN_ORDER.format(list(tensor.shape))}
            shape = [shape[axis] for axis in (0, 3, 1, 2)]
        inputs[label] = {"shape": shape, "dtype": str(tensor.dtype)}
    look.inputs = inputs
    told, net = read_metadata(model), model.subgraphs[0]
    look.pixels = _pixels(graph, dict(zip(indices(net.inputs), told.inputs, strict=False)))
    outputs = dict(zip(indices(net.outputs), told.outputs, strict=False))
    look.notes = list(_labels(graph, outputs, whole))
    look.save(job)


def _pixels(graph: Graph, told: Mapping[int, TensorNotes]) -> dict[str, Any]:
    """As the metadata says of all pictures alike; else nothing."""
    pictures = [
        told.get(i, TensorNotes()) for i in graph.inputs if len(graph.tensors[i].shape) == 4
    ]
    if not pictures or any(one != pictures[0] for one in pictures):
        return {}
    first, reason = pictures[0], {"reason": "by the file's own metadata"}
    scaling = {"mean": _single(first.mean), "std": _single(first.std)} if first.mean else {}
    color = {"color": first.color} if first.color else {}
    return {**scaling, **color, **reason} if scaling else {}


def _single(values: Sequence[float]) -> float | list[float]:
    return values[0] if len(values) == 1 else list(values)


def _labels(graph: Graph, told: Mapping[int, TensorNotes], raw: bytes) -> Iterator[str]:
    """A sentence on each output whose classes the file names."""
    for index in graph.outputs:
        file = told.get(index, TensorNotes()).labels
        lines = read_labels(raw, file) if file else []
        if lines:
            first = ", ".join(lines[:_LABELS_TOLD]) + (", ..." if lines[_LABELS_TOLD:] else "")
            yield _printable(
                f"Output `{graph.label(index)}`: {len(lines)} labels in {file}, which is inside "
                f"the file (unzip reads it): {first}"
            )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
