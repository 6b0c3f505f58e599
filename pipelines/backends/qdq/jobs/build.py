"""build for the backend qdq: the file (toolchain core).

params: QdqParams. inputs: model, the
simplified graph, and quantize.

Writes out/NAME_qdq.onnx and out/build.json (see quant.report.integer_build). Its notes: what
onnxruntime warned of, and choices that change nothing; layers, of each operator: op, name, tensor,
dtype, and scale and zero_point of the tensor, null where it stays float.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import onnxruntime

from pipelines.backends.qdq.jobs.params import QdqParams
from pipelines.backends.qdq.jobs.quantizer import quantize
from pipelines.backends.qdq.jobs.rounded_graph import RoundedGraph
from pipelines.backends.qdq.recipe.options import OF_BUILD, Options
from pipelines.run.jobs.job import Job
from quant.graph.file import read, save
from quant.report.integer_build import IntegerBuild


def run(job: Job[QdqParams]) -> None:
    name, model = f"{job.params.name}_qdq.onnx", read(job.inputs["model"])
    found = json.loads((job.inputs["quantize"] / "ranges.json").read_text())
    told = {**found["options"], **{key: getattr(job.params.options, key) for key in OF_BUILD}}
    options = Options(**told)
    made, warned = quantize(model, found["ranges"], options)
    save(made, job.out / name)
    graph = RoundedGraph(model, made)
    notes = [*_notes(options, graph), *warned]
    IntegerBuild(
        options=told,
        toolkit=f"onnxruntime {onnxruntime.__version__}",
        notes=notes,
        size_bytes={name: (job.out / name).stat().st_size},
        layers=[graph.told(layer) for layer in graph.layers],
    ).save(job.out / "build.json")
    for note in notes:
        print(f"note: {note}")


def _notes(options: Options, graph: RoundedGraph) -> Iterator[str]:
    if options.calibrate_method == "Entropy" and not options.num_bins:
        yield (
            "`calibrate_method: Entropy` with onnxruntime's own 128 bins gives the ranges of "
            "MinMax: set `num_bins`, such as 2049"
        )
    if not any(layer.is_integer for layer in graph.layers):
        yield "no operator became integer"
