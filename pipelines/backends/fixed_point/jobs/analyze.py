"""analyze for the fixed_point backend: every layer, and the whole network (toolchain core).

params: as for build, and evaluate. inputs: quantize, build.json, artifact.onnx and
artifact.tflite (what build made; the latter not where operators stay in float), float (the network
before any change), model (the simplified one), and of a cut network cut and tail, see cut_inputs.
Data: samples/, as stages.samples leaves it, with the labelled data if the recipe has some; random
samples where it names none.

Writes out/report/: layers.json and layers.csv (see quant.report.layer_error; against the graph that
was lowered), bytes.json (see quant.report.bytes_report and, for kinds, quant.report.file_bytes)
and metrics.json (see quant.report.target_metrics): outputs of NAME_quant.onnx against the float
network; layers are operations of the network; bytes {onnx, artifact, tflite}: the float network,
NAME_quant.onnx and .tflite; accuracy {float, integer, agreement, samples}, agreement: share of
samples with the same class in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from pipelines.backends.fixed_point.jobs.files import Files, prove
from pipelines.backends.fixed_point.jobs.opened import Opened
from pipelines.backends.fixed_point.jobs.params import ModelParams
from pipelines.run.jobs.job import Job
from pipelines.stages.compare.jobs import reports
from pipelines.stages.compare.jobs.accuracy import Network, accuracy, agreement, combined, scores
from pipelines.stages.compare.jobs.comparison import compare
from pipelines.stages.compare.jobs.evaluation import evaluation
from pipelines.stages.compare.jobs.float_network import Outputs
from pipelines.stages.compare.jobs.tail import Tail
from pipelines.stages.samples.jobs import prepared_samples
from pipelines.stages.samples.jobs.prepared_samples import LabelledSamples
from quant.fixed_point.calibration.ranges import data_free_samples
from quant.fixed_point.layer_errors import layer_errors
from quant.fixed_point.network.network import FloatNode
from quant.report import file_bytes, layer_error
from quant.report.bytes_report import BytesReport
from quant.report.layer_error import LayerReport, Row
from quant.report.target_metrics import Metrics

_RANDOM = 4  # samples, where the recipe names none


def run(job: Job[ModelParams]) -> None:
    opened = Opened.of(job)
    feeds = _feeds(job, opened)
    rows = layer_errors(opened.prepared.model, opened.files.network, feeds)
    outputs, findings = compare([(opened.float_run(one), opened.built_run(one)) for one in feeds])
    report = LayerReport(
        backend="fixed_point",
        toolkit="npumake",
        platform="any",
        samples=len(feeds),
        rows=rows,
        findings=(*_not_finite(rows), *findings),
    )
    operations = opened.files.network.operations
    labelled = prepared_samples.read_labelled(job, opened.inputs)
    tail = Tail(job.inputs)
    floats = sum(isinstance(one, FloatNode) for one in operations)
    sizes = _bytes(job)
    metrics = Metrics(
        **reports.measured_alike(rows, outputs, len(feeds), sizes, "artifact"),
        layers=len(operations),
        float_layers=floats,
        compared_values=prove(opened.files, feeds),
        **(_evaluation(job, labelled, opened, tail) if labelled else {}),
        divided=tail.divided or None,
    )
    held = _bytes_report(job, opened.files, not floats)
    reports.write(job.out / "report", report, metrics, held)


def _feeds(job: Job[ModelParams], opened: Opened) -> list[Outputs]:
    """The analysis samples as the networks take them; random ones where the recipe has no data."""
    if job.params.samples is None:
        return list(islice(data_free_samples(opened.prepared.model), _RANDOM))
    samples = prepared_samples.read(job, opened.inputs)
    return [opened.feeds(arrays) for arrays in samples.arrays()]


def _not_finite(rows: Sequence[Row]) -> list[str]:
    return [
        f"`{tensor}` holds NaN or infinities in the float network"
        for tensor in layer_error.not_finite(rows)
    ]


def _bytes(job: Job[ModelParams]) -> dict[str, int]:
    sizes = {"onnx": job.inputs["float"].stat().st_size}
    for kind, key in (("onnx", "artifact"), ("tflite", "tflite")):
        if f"artifact.{kind}" in job.inputs:
            sizes[key] = job.inputs[f"artifact.{kind}"].stat().st_size
    return sizes


def _bytes_report(job: Job[ModelParams], files: Files, is_integer: bool) -> BytesReport:
    """Of NAME_quant.onnx, the artifact; `files` has the other one too."""
    read = {"onnx": file_bytes.of_onnx, "tflite": file_bytes.of_tflite}
    name = job.params.name
    held = {kind: read[kind](data) for kind, data in files.by_kind().items()}
    return file_bytes.onnx_report(
        held["onnx"],
        job.inputs["float"].stat().st_size,
        is_integer=is_integer,
        files={f"{name}_quant.{kind}": one for kind, one in held.items()},
    )


def _evaluation(
    job: Job[ModelParams], labelled: LabelledSamples, opened: Opened, tail: Tail
) -> dict[str, Any]:
    """`accuracy` with the networks' agreement, or `evaluation` by the user's function."""
    networks: dict[str, Network] = {
        "float": tail.behind(lambda one: opened.float_run(opened.feeds(one))),
        "integer": tail.behind(lambda one: opened.built_run(opened.feeds(one))),
    }
    if job.params.evaluate is not None and job.params.evaluate.function:
        return evaluation(job, labelled, networks)
    return {"accuracy": _accuracy(labelled, networks)}


def _accuracy(labelled: LabelledSamples, networks: Mapping[str, Network]) -> dict[str, Any]:
    real, integer = (scores(labelled, networks[name]) for name in ("float", "integer"))
    found = accuracy(labelled, {"float": real, "integer": integer})
    same = agreement(real, integer)
    own = found.get("outputs") or dict.fromkeys(same, found)
    keys = ("float", "integer")
    return combined(
        {o: {**{key: own[o][key] for key in keys}, "agreement": same[o]} for o in same},
        len(labelled),
    )
