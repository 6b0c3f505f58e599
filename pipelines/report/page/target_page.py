"""All that a page tells of one target."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.backends.table import BACKENDS
from pipelines.recipe.define.model import Recipe, Target
from pipelines.report import summary
from pipelines.report.page import layers
from pipelines.report.summary import Summary
from pipelines.stages.stage import built
from quant.report import bytes_report, layer_error, target_metrics
from quant.report.bytes_report import BytesReport
from quant.report.layer_error import LayerReport
from quant.report.target_metrics import Metrics

_SURE = ("name", "title", "is_cause", "message", "why", "remedy")


def make(root: Path, recipe: Recipe, target: Target, stale: Sequence[str]) -> dict[str, Any]:
    """stale: why its recorded reports are not of the present recipe; empty where they are.

    Without reports, `is_built` is false and nothing but the names is there.
    """
    found = summary.read(root, recipe, target)
    told: dict[str, Any] = {
        "name": target.name,
        "backend": target.backend,
        "platform": target.platform,
        "toolchain": target.toolchain,
        "is_baseline": target.is_baseline,
        "stale": list(stale),
        "is_built": found is not None,
    }
    if found is None:
        return told
    report = root / built(recipe, f"{target.name}/report")
    made, held = layer_error.read(report / "layers.json"), bytes_report.read(report / "bytes.json")
    metrics = target_metrics.read(report / "metrics.json")
    files = BACKENDS[target.backend].artifacts(recipe, target).values()
    paths = [root / built(recipe, f"{target.name}/{name}") for name in files]
    return {
        **told,
        **_figures(found, metrics),
        "toolkit": made.toolkit,
        "samples": made.samples,
        "in_words": BACKENDS[target.backend].in_words,
        "outputs": [_output(name, one) for name, one in metrics.outputs.items()],
        "findings": list(_findings(held, made)),
        "notes": list(made.findings),
        "layers": layers.columns(made.rows),
        "ledgers": layers.ledgers(held.by_file(next(iter(files)))),
        "files": [_file(path) for path in paths if path.is_file()],
    }


def _figures(found: Summary, metrics: Metrics) -> dict[str, Any]:
    return {
        "onnx_bytes": found.onnx_bytes,
        "artifact_bytes": found.artifact_bytes,
        "size_ratio": found.size_ratio,
        "output_error": found.outputs.error,
        "output_error_of": found.outputs.error_of,
        "output_cosine": found.outputs.cosine,
        "not_finite": list(found.outputs.not_finite),
        "overflow": found.outputs.overflow,
        "worst_cosine": found.worst_cosine,
        "worst_layer": found.worst_layer,
        "cpu_layers": found.cpu_layers,
        "float_layers": found.float_layers,
        "accuracy_float": found.accuracy_float,
        "accuracy": found.accuracy,
        "drop": _drop(found),
        "evaluation": _evaluation(found),
        "cycles": metrics.cycles,
        "simulation": metrics.simulation,
    }


def _drop(found: Summary) -> float | None:
    """Points of accuracy that quantization costs; less than 0 where it gains."""
    if found.accuracy is None or found.accuracy_float is None:
        return None
    return 100 * (found.accuracy_float - found.accuracy)


def _evaluation(found: Summary) -> list[tuple[str, float | None, float | None]]:
    """What the user's own function measured: (metric, in float, as built)."""
    return [
        (name, by.get("float"), next((v for key, v in by.items() if key != "float"), None))
        for name, by in found.evaluation.items()
    ]


def _output(name: str, one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "finite": one["finite"],
        "cosine": (one.get("cosine") or {}).get("worst"),
        "error": one.get("relative_error"),
        "difference": one.get("max_abs_difference"),
        "low": (one.get("range") or {}).get("low"),
        "high": (one.get("range") or {}).get("high"),
        "scale": one.get("scale"),
        "values": one.get("values"),
        "constant": (one.get("constant_channels") or {}).get("count"),
    }


def _findings(held: BytesReport, made: LayerReport) -> Iterator[dict[str, Any]]:
    """Of bytes and of accuracy; causes first, those of most bytes first."""
    both = [("bytes", row) for row in held.findings]
    both += [("accuracy", row) for row in made.causes]
    both.sort(key=lambda pair: (not pair[1]["is_cause"], -pair[1].get("bytes", 0)))
    for about, row in both:
        yield {
            **{key: row[key] for key in _SURE},
            "about": about,
            "bytes": row.get("bytes"),
            "share": row.get("share"),
            "nodes": list(row["nodes"]),
        }


def _file(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"name": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
