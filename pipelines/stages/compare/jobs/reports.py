"""The reports of an analyze, which every backend's has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.stages.compare.jobs.comparison import worst_output
from quant.report import bytes_report, layer_error, target_metrics
from quant.report.bytes_report import BytesReport
from quant.report.layer_error import LayerReport, Row
from quant.report.target_metrics import Metrics


def measured_alike(
    rows: Sequence[Row],
    outputs: Mapping[str, Mapping[str, Any]],
    samples: int,
    sizes: Mapping[str, int],
    artifact: str,
) -> dict[str, Any]:
    """The fields of Metrics that mean the same for every backend. artifact: its key of `sizes`."""
    return {
        "samples": samples,
        **layer_error.figures(rows),
        "outputs": dict(outputs),
        **worst_output(outputs),
        "sizes": sizes,
        "size_ratio": sizes[artifact] / sizes["onnx"],
    }


def write(folder: Path, report: LayerReport, metrics: Metrics, held: BytesReport) -> None:
    """FOLDER/layers.json, layers.csv, metrics.json and bytes.json; tells findings and causes."""
    folder.mkdir(parents=True)
    (folder / "layers.json").write_text(layer_error.to_json(report))
    (folder / "layers.csv").write_text(layer_error.to_csv(report))
    (folder / "metrics.json").write_text(target_metrics.to_json(metrics))
    (folder / "bytes.json").write_text(bytes_report.to_json(held))
    for sentence in report.findings:
        print(f"finding: {sentence}")
    for cause in report.causes:
        print(f"{'cause' if cause['is_cause'] else 'no cause'}: {cause['message']}")
