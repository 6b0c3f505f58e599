"""build for the backend qdq: the file (toolchain core).

params: name, options (the recipe's Options, but for those of quantize). inputs: model, the
simplified graph, and quantize.

Writes out/NAME_qdq.onnx and out/build.json:
    options   as resolved, with those of quantize
    toolkit   onnxruntime and its version
    notes     sentences: what onnxruntime warned of, and choices that change nothing
    bytes     file -> its bytes
    layers    for each operator: op, name, tensor, dtype, and scale and zero_point of the tensor,
              null where it stays float
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import onnxruntime

from pipelines.backends.qdq.jobs.quantizer import quantize
from pipelines.backends.qdq.jobs.rounded_graph import RoundedGraph
from pipelines.run.jobs.job import Job
from quant.graph.file import read, save


def run(job: Job) -> None:
    name, model = f"{job.params['name']}_qdq.onnx", read(job.inputs["model"])
    found = json.loads((job.inputs["quantize"] / "ranges.json").read_text())
    options = {**found["options"], **job.params["options"]}
    made, warned = quantize(model, found["ranges"], options)
    save(made, job.out / name)
    graph = RoundedGraph(model, made)
    notes = [*_notes(options, graph), *warned]
    record = {
        "options": options,
        "toolkit": f"onnxruntime {onnxruntime.__version__}",
        "notes": notes,
        "bytes": {name: (job.out / name).stat().st_size},
        "layers": [graph.told(layer) for layer in graph.layers],
    }
    text = json.dumps(record, indent=1, allow_nan=False)
    (job.out / "build.json").write_text(text + "\n")
    for note in notes:
        print(f"note: {note}")


def _notes(options: Mapping[str, Any], graph: RoundedGraph) -> Iterator[str]:
    if options["calibrate_method"] == "Entropy" and not options["num_bins"]:
        yield (
            "`calibrate_method: Entropy` with onnxruntime's own 128 bins gives the ranges of "
            "MinMax: set `num_bins`, such as 2049"
        )
    if not any(layer.is_integer for layer in graph.layers):
        yield "no operator became integer"
