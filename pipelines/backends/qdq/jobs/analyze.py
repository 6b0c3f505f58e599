"""analyze for the backend qdq: every operator, and the whole network (toolchain core).

params: as for build, and evaluate. inputs: artifact.onnx (NAME_qdq.onnx), float (the network before
any change), model (the simplified one), and of a cut network cut and tail, see cut_inputs.
Data: samples/, as stages.samples leaves it, with the labelled data if the recipe has some.

Writes out/report/: layers.json and layers.csv (see quant.report.layer_error; against the simplified
network), bytes.json (see quant.report.bytes_report) and metrics.json (see
quant.report.target_metrics): outputs of NAME_qdq.onnx, computed as it is written, against the float
network; layers are operators; bytes {onnx, artifact}; accuracy {float, qdq, samples}.
"""

from __future__ import annotations

import onnxruntime

from pipelines.backends.qdq.jobs.layer_errors import layer_errors
from pipelines.backends.qdq.jobs.opened import Opened
from pipelines.backends.qdq.jobs.params import QdqParams
from pipelines.backends.qdq.jobs.rounded_graph import RoundedGraph
from pipelines.run.jobs.job import Job
from pipelines.stages.compare.jobs import reports
from pipelines.stages.compare.jobs.comparison import compare
from pipelines.stages.compare.jobs.evaluation import evaluation
from pipelines.stages.compare.jobs.tail import Tail
from pipelines.stages.samples.jobs import prepared_samples
from quant.report import file_bytes, layer_error
from quant.report.layer_error import LayerReport
from quant.report.target_metrics import Metrics


def run(job: Job[QdqParams]) -> None:
    opened = Opened.of(job)
    samples = prepared_samples.read(job, opened.inputs)
    rows = layer_errors(
        opened.source,
        RoundedGraph(opened.source, opened.model),
        map(opened.feeds, samples.arrays()),
    )
    outputs, findings = compare(
        (opened.float_run(one), opened.built_run(one))
        for one in map(opened.feeds, samples.arrays())
    )
    report = LayerReport(
        backend="qdq",
        toolkit=f"onnxruntime {onnxruntime.__version__}",
        platform="any",
        samples=len(samples),
        rows=rows,
        findings=(
            *(f"`{name}` holds NaN or infinities" for name in layer_error.not_finite(rows)),
            *findings,
        ),
    )
    sizes = {key: job.inputs[name].stat().st_size
             for key, name in (("onnx", "float"), ("artifact", "artifact.onnx"))}  # fmt: skip
    labelled = prepared_samples.read_labelled(job, opened.inputs)
    tail = Tail(job.inputs)
    networks = {
        "float": tail.behind(lambda one: opened.float_run(opened.feeds(one))),
        "qdq": tail.behind(lambda one: opened.built_run(opened.feeds(one))),
    }
    floats = sum((row.dtype or "").startswith("float") for row in report.layers)
    metrics = Metrics(
        **reports.measured_alike(rows, outputs, len(samples), sizes, "artifact"),
        layers=len(report.layers),
        float_layers=floats,
        **(evaluation(job, labelled, networks) if labelled else {}),
        divided=tail.divided or None,
    )
    own = file_bytes.of_onnx(job.inputs["artifact.onnx"].read_bytes())
    held = file_bytes.onnx_report(own, sizes["onnx"], is_integer=not floats)
    reports.write(job.out / "report", report, metrics, held)
