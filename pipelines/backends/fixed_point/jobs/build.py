"""build for the fixed_point backend: both files, proven exact (toolchain core).

params: BuildParams. inputs: quantize, the folder.

Writes out/NAME_quant.onnx, out/NAME_quant.tflite (not where operators stay in float) and
out/build.json (see quant.report.integer_build). Its notes say what had to be coarser, and why; its
layers of each operation: op, tensor, shift and weight_exponent (a number, or one a channel; null
where it has none), scale of the result as a fraction's text; weight_scale instead of the exponent
where it is no power of two.
"""

from __future__ import annotations

from itertools import islice

from pipelines.backends.fixed_point.jobs.files import Files, options_of, prove
from pipelines.backends.fixed_point.jobs.layers import layers
from pipelines.backends.fixed_point.jobs.params import BuildParams
from pipelines.backends.fixed_point.jobs.prepared import Prepared
from pipelines.run.jobs.job import Job
from quant.fixed_point.calibration.ranges import data_free_samples
from quant.report.integer_build import IntegerBuild

SAMPLES = 2  # each costs a run of the network in NumPy's int64, which is slow


def run(job: Job[BuildParams]) -> None:
    name, options = job.params.name, job.params.fixed_point
    prepared = Prepared.read(job.inputs["quantize"])
    files = Files.of(prepared, options_of(options), name)
    compared = prove(files, islice(data_free_samples(prepared.model), SAMPLES))
    made = {f"{name}_quant.{kind}": data for kind, data in files.by_kind().items()}
    for file, data in made.items():
        (job.out / file).write_bytes(data)
    IntegerBuild(
        options=options.told,
        notes=files.network.notes,
        size_bytes={file: len(data) for file, data in made.items()},
        compared_values=compared,
        layers=layers(files.network),
    ).save(job.out / "build.json")
    for note in files.network.notes:
        print(f"note: {note}")
    print(f"{compared} integers compared, all equal")
