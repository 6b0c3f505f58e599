"""measure for the rknn backend: a trial's outputs in the SDK's simulator (an rknn toolchain).

params: AnalyzeParams. inputs: quantize or model as build had it, build.json, artifact.rknn,
float, cut, tail (see analyze). Data: samples/, and calibration/ for what one call quantizes.

Writes out/measured.json: {bytes, cycles, float_layers, samples, outputs, worst_output_cosine,
worst_cosine_output, worst_output_error, worst_error_output, accuracy, evaluation}, as metrics.json
has them, but no layer is compared.
"""

from __future__ import annotations

import json
from functools import partial

from pipelines.backends.rknn.analysis import as_built, layer_report
from pipelines.backends.rknn.analysis.end_to_end import Simulator, compare, reference
from pipelines.backends.rknn.params import AnalyzeParams
from pipelines.run.jobs.job import Job
from pipelines.stages.compare.jobs.accuracy import Network
from pipelines.stages.compare.jobs.comparison import worst_output
from pipelines.stages.compare.jobs.evaluation import evaluation
from pipelines.stages.compare.jobs.tail import Tail
from pipelines.stages.samples.jobs import prepared_samples
from quant.report import build_json
from quant.report.sums import total


def run(job: Job[AnalyzeParams]) -> None:
    build = build_json.read(job.inputs["build.json"])
    compiled, file = as_built.compiled(job)
    simulator = Simulator(compiled.sdk, file.outputs, job.params)
    network = reference(job, file.outputs)
    samples = prepared_samples.read(job, compiled.inputs)
    outputs, _ = compare((network(samples.inputs, one), simulator(one)) for one in samples.arrays())
    rows = layer_report.make(build, []).rows
    layers = layer_report.compute_layers(rows)
    measured = {
        "bytes": job.inputs["artifact.rknn"].stat().st_size,
        "cycles": total(row.cycles for row in layers),
        "float_layers": len(layer_report.float_layers(rows)),
        "samples": len(samples),
        "outputs": outputs,
        **worst_output(outputs),
        "accuracy": None,
        "evaluation": None,
    }
    labelled = prepared_samples.read_labelled(job, compiled.inputs)
    if labelled:
        tail = Tail(job.inputs)
        networks: dict[str, Network] = {
            "float": tail.behind(partial(network, labelled.inputs)),
            "simulator": tail.behind(simulator),
        }
        measured |= evaluation(job, labelled, networks)
    job.out.mkdir(exist_ok=True)
    text = json.dumps(measured, indent=1, allow_nan=False)
    (job.out / "measured.json").write_text(text + "\n")
