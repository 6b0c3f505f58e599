"""look at a TFLite file (toolchain core): its inputs, as the ONNX graph will take them."""

from __future__ import annotations

from pipelines.run.jobs.job import Job
from pipelines.stages.export.jobs.look.seen import Look
from pipelines.stages.export.jobs.source_file import source_file
from quant.tflite.dynamic_range import widen
from quant.tflite.file import parse, read

_OWN_ORDER = "the file has it as {}; the ONNX graph made of it has the channels first"


def run(job: Job) -> None:
    name = job.params["source"]["file"]
    raw, _ = widen(read(source_file(job), name), name)
    graph = parse(raw, name)
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
    look.save(job)
