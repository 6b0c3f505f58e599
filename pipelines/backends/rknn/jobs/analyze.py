"""analyze for the rknn backend: every layer, and the whole network (an rknn toolchain).

params: AnalyzeParams.
inputs: build.json and artifact.rknn (what build made), model (what the SDK loaded, at step 1 where
there was one), quantize (where build had it), and float (the ONNX model before quantization), which
a prequantized source does not have; cut and tail (the network that simplify has cut, and what it
cut off, which evaluate runs behind it).
Data: samples/, as stages.samples leaves it, with the labelled data if the recipe has some; for a
model that one call quantizes, calibration/ in the same form where that is other data.

The SDK simulates only what the same process has just compiled: see
pipelines.backends.rknn.analysis.as_built.

Writes out/report/: layers.json and layers.csv (see quant.report.layer_error; `causes`: of lost
accuracy, see pipelines.backends.rknn.findings.accuracy), error_analysis.txt (the SDK's own, one
after the other, a heading for each sample, or why it did not run), bytes.json (where the file's
bytes are, see pipelines.backends.rknn.file.ledger, and `findings`, see
pipelines.backends.rknn.findings.bytes) and metrics.json (see quant.report.target_metrics): outputs
of the simulator against onnxruntime, which runs the float network or a prequantized source in ONNX
itself; simulation by `npumake` (see pipelines.backends.rknn.analysis.simulation) or
`rknn-toolkit2`, and then why; counts of layers without the ends; bytes {onnx, rknn}, onnx: the
network before quantization, or the source; accuracy {float, simulator, samples}, where the recipe
names outputs the mean over them, and outputs: {NAME: {float, ...}}.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from pipelines.backends.rknn.analysis import accuracy_evidence, analyses, as_built, layer_report
from pipelines.backends.rknn.analysis.end_to_end import FloatNetwork, Simulator
from pipelines.backends.rknn.file import ledger
from pipelines.backends.rknn.file.dtypes import PREQUANTIZED
from pipelines.backends.rknn.findings.accuracy.evidence import SourceScale
from pipelines.backends.rknn.findings.accuracy.table import findings as causes_of
from pipelines.backends.rknn.findings.bytes.table import findings as findings_of
from pipelines.backends.rknn.params import AnalyzeParams
from pipelines.backends.rknn.sdk.refusals.diagnosis import diagnosed
from pipelines.run.jobs.job import Job
from pipelines.run.jobs.memory import keep_freed
from pipelines.stages.compare.jobs import reports
from pipelines.stages.compare.jobs.accuracy import Network
from pipelines.stages.compare.jobs.evaluation import evaluation
from pipelines.stages.compare.jobs.tail import Tail
from pipelines.stages.samples.jobs import prepared_samples
from pipelines.stages.samples.jobs.prepared_samples import PreparedSamples
from quant.graph import file as graph_file
from quant.report import build_json, source_network_onnx
from quant.report.build_json import BuildReport
from quant.report.bytes_report import BytesReport
from quant.report.layer_error import LayerReport
from quant.report.sums import total
from quant.report.target_metrics import Metrics
from quant.rknn import file as rknn_file

LARGEST_HALF = 65504.0  # of float16
_RANDOM = "measured on random inputs: the recipe names no data; add `analyze: {images: FOLDER}`"


def run(job: Job[AnalyzeParams]) -> None:
    keep_freed()
    build = build_json.read(job.inputs["build.json"])
    compiled, file = as_built.compiled(job)
    samples = prepared_samples.read(job, compiled.inputs)
    simulator = Simulator(compiled.sdk, file.outputs, job.params)
    network = _reference(job, file.outputs)
    with diagnosed(compiled.patient):
        found = analyses.analyze(job, compiled.sdk, simulator, samples, network)
    report = layer_report.make(build, found.rows)
    outputs, findings = found.outputs, found.findings
    if samples.is_random:
        findings = [*findings, _RANDOM]
    labelled = prepared_samples.read_labelled(job, compiled.inputs)
    measured: dict[str, Any] = {}
    tail = Tail(job.inputs)
    if labelled:
        networks: dict[str, Network] = {"simulator": tail.behind(found.run)}
        if network is not None and "float" in job.inputs:
            whole = tail.behind(partial(network, labelled.inputs))
            networks = {"float": whole, **networks}
        measured = evaluation(job, labelled, networks)
    metrics = replace(
        _metrics(report, len(samples), outputs, _bytes(job)),
        simulation=found.simulation,
        overflow=_overflow(job, samples) if _is_bad(outputs) else None,
        divided=tail.divided or None,
        **measured,
    )
    seen = accuracy_evidence.gather(
        job.inputs.get("quantize"),
        build,
        metrics,
        report,
        layer_report.lost(found.rows),
        job.params.inputs,
        {} if samples.is_random else samples.statistics,
        _source_scales(job),
        found.spans,
    )
    report = replace(report, findings=(*report.findings, *findings), causes=tuple(causes_of(seen)))
    folder = job.out / "report"
    reports.write(folder, report, metrics, _bytes_report(job, build, metrics.sizes["onnx"]))
    (folder / "error_analysis.txt").write_text(found.text)


def _source_scales(job: Job[AnalyzeParams]) -> list[SourceScale]:
    params = job.params
    is_known = params.source_kind == "onnx" and params.quantize.dtype == PREQUANTIZED
    if not is_known:
        return []
    return accuracy_evidence.source_scales(job.inputs["model"], job.inputs["artifact.rknn"])


def _reference(job: Job[AnalyzeParams], outputs: Sequence[str]) -> FloatNetwork | None:
    """The network in onnxruntime: the float one, or the source of a prequantized ONNX model.

    A cut one is its own reference: simplify has proven that with its tail it is the whole.
    """
    if "cut" in job.inputs:
        return FloatNetwork(job.inputs["cut"], job.params, outputs)
    is_onnx = job.params.source_kind == "onnx"
    name = "float" if "float" in job.inputs or not is_onnx else "model"
    if name not in job.inputs:
        return None
    return FloatNetwork(job.inputs[name], job.params, outputs)


def _is_bad(outputs: Mapping[str, Any]) -> bool:
    return not all(one["finite"] for one in outputs.values())


def _overflow(job: Job[AnalyzeParams], samples: PreparedSamples) -> dict[str, Any] | None:
    """The first tensor of the float network that float16 can't hold, by its largest magnitude."""
    if "float" not in job.inputs:
        return None
    inside = [
        name
        for node in graph_file.parse(job.inputs["float"], "model").graph.node
        for name in node.output
    ]
    network = FloatNetwork(job.inputs["float"], job.params, inside)
    for arrays in samples.arrays():
        made = network(samples.inputs, arrays)
        for name in inside:
            array = made.get(name)
            if array is not None and array.dtype.kind == "f" and array.size:
                largest = float(np.abs(array).max())
                if not largest <= LARGEST_HALF:
                    known = largest if math.isfinite(largest) else None
                    return {"tensor": name, "magnitude": known}
    return None


def _metrics(
    report: LayerReport, samples: int, outputs: Mapping[str, Any], sizes: Mapping[str, int]
) -> Metrics:
    rows = [row for row in report.rows if row.op not in (*layer_report.ENDS, "Input")]
    compute = layer_report.compute_layers(rows)
    return Metrics(
        **reports.measured_alike(rows, outputs, samples, sizes, "rknn"),
        layers=len(compute),
        compared_layers=len(layer_report.compared_layers(rows)),
        cpu_layers=len(layer_report.cpu_layers(rows)),
        float_layers=len(layer_report.float_layers(rows)),
        cycles=total(row.cycles for row in compute),
    )


def _bytes(job: Job[AnalyzeParams]) -> dict[str, int]:
    before = job.inputs["float" if "float" in job.inputs else "model"]
    return {
        "rknn": job.inputs["artifact.rknn"].stat().st_size,
        "onnx": before.stat().st_size,
    }


def _bytes_report(job: Job[AnalyzeParams], build: BuildReport, source_bytes: int) -> BytesReport:
    told = ledger.Build(
        source_bytes=source_bytes,
        dtype=job.params.quantize.dtype,
        rules=build.rules,
    )
    source = None
    if job.params.source_kind == "onnx":
        source = source_network_onnx.read(graph_file.parse(job.inputs["model"], "model"))
    held = ledger.make(rknn_file.read(job.inputs["artifact.rknn"]), source, told)
    return held._replace(findings=findings_of(held, build))
