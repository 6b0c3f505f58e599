"""export of a float TFLite network: converted to ONNX and held against LiteRT (toolchain core)."""

from __future__ import annotations

from importlib.metadata import version

from pipelines.run.jobs.job import Job
from pipelines.stages.export.jobs.notes import ExportNotes, bounds
from pipelines.stages.export.jobs.params import ExportParams
from pipelines.stages.export.jobs.source_file import source_file
from quant.graph.file import save
from quant.tflite.export import export


def run(job: Job[ExportParams]) -> None:
    """Writes out/model.onnx, and the notes that check_onnx reads.

    params: ExportParams.
    inputs: source, the .tflite file. Raises Fault on what can't be converted exactly.
    """
    shapes = {name: given.shape for name, given in job.params.inputs.items()}
    name = job.params.source.file
    exported = export(source_file(job), shapes, job.params.outputs, name)
    save(exported.model, job.out / "model.onnx")
    for sentence in exported.changes:
        print(sentence)
    ExportNotes(
        exporter=f"npumake's TFLite reader, against ai-edge-litert {version('ai-edge-litert')}",
        changes=exported.changes,
        maximum_difference=bounds(exported.maximum_difference),
    ).save(job.scratch)
