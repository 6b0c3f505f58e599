"""build for the fixed_point backend: both files, proven exact (toolchain core).

params: name, fixed_point (the recipe's FixedPoint). inputs: quantize, the folder.

Writes out/NAME_quant.onnx, out/NAME_quant.tflite (not where operators stay in float) and
out/build.json:
    options          as resolved
    notes            sentences: what had to be coarser, and why
    bytes            file -> its bytes
    compared_values  how many integers were compared with the network's own, all equal
    layers           for each operation: op, tensor, shift and weight_exponent (a number, or one a
                     channel; null where it has none), scale of the result as a fraction's text;
                     weight_scale instead of the exponent where it is no power of two
"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

from pipelines.backends.fixed_point.jobs.files import Files, options_of, prove
from pipelines.backends.fixed_point.jobs.layers import layers
from pipelines.backends.fixed_point.jobs.prepared import Prepared
from pipelines.run.jobs.job import Job
from quant.fixed_point.calibration.ranges import data_free_samples

SAMPLES = 2  # each costs a run of the network in NumPy's int64, which is slow


def run(job: Job) -> None:
    name = job.params["name"]
    prepared = Prepared.read(job.inputs["quantize"])
    files = Files.of(prepared, options_of(job.params["fixed_point"]), name)
    compared = prove(files, islice(data_free_samples(prepared.model), SAMPLES))
    record: dict[str, Any] = {
        "options": job.params["fixed_point"],
        "notes": list(files.network.notes),
        "bytes": {},
        "compared_values": compared,
        "layers": layers(files.network),
    }
    for kind, data in files.by_kind().items():
        file = f"{name}_quant.{kind}"
        (job.out / file).write_bytes(data)
        record["bytes"][file] = len(data)
    text = json.dumps(record, indent=1, allow_nan=False)
    (job.out / "build.json").write_text(text + "\n")
    for note in record["notes"]:
        print(f"note: {note}")
    print(f"{compared} integers compared, all equal")
