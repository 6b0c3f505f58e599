"""What the recorded reports say of one model and target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.backends.table import BACKENDS, artifact
from pipelines.recipe.define.model import Recipe, Target

if TYPE_CHECKING:
    from quant.report.target_metrics import Metrics


@dataclass(frozen=True)
class Outputs:
    """The end-to-end outputs beside the float network's.

    cosine, cosine_of: the lowest, and the output that has it; error, error_of: the largest
    difference by an output's range. not_finite: outputs with NaN or infinities. overflow: the first
    tensor beyond float16's range, and its magnitude.
    """

    cosine: float | None
    cosine_of: str | None
    error: float | None
    error_of: str | None
    not_finite: tuple[str, ...]
    overflow: tuple[str, float | None] | None


@dataclass(frozen=True)
class Summary:
    """Sizes in bytes; cosines and accuracies are fractions; None where nothing was measured.

    cpu_layers: None for a backend to which they mean nothing. evaluation: what the user's own
    function measured: metric -> network -> number.
    """

    onnx_bytes: int
    artifact_bytes: int
    worst_cosine: float | None
    worst_layer: str | None
    cpu_layers: int | None
    float_layers: int
    accuracy_float: float | None
    accuracy: float | None
    size_ratio: float
    outputs: Outputs
    evaluation: Mapping[str, Mapping[str, float]]


def notes(root: Path, recipe: Recipe) -> list[str]:
    """What simplify did to the model by itself, and why; none where it has not run."""
    changes = root / recipe.folder / "build" / "simplify" / "changes.json"
    if not changes.is_file():
        return []
    return list(json.loads(changes.read_text(encoding="utf-8")).get("notes", ()))


def read(root: Path, recipe: Recipe, target: Target) -> Summary | None:
    """The summary, or None where the target has not been built."""
    folder = root / recipe.folder / "build" / target.name
    backend = BACKENDS[target.backend]
    report = folder / "report" / "metrics.json"
    if not ((root / artifact(recipe, target)).is_file() and report.is_file()):
        return None
    from quant.report import target_metrics  # of a built target that is told of

    try:
        metrics = target_metrics.read(report)
    except KeyError:  # of an older analyze, which has to run again
        return None
    accuracy = metrics.accuracy or {}  # only labelled data has one
    return Summary(
        metrics.sizes["onnx"],
        metrics.sizes[backend.bytes_key],
        metrics.worst_cosine,
        metrics.worst_layer,
        metrics.cpu_layers,
        metrics.float_layers,
        accuracy.get("float"),
        accuracy.get(backend.runs),
        metrics.size_ratio,
        _outputs(metrics),
        (metrics.evaluation or {}).get("metrics", {}),
    )


def _outputs(metrics: Metrics) -> Outputs:
    overflow = metrics.overflow
    return Outputs(
        metrics.worst_output_cosine,
        metrics.worst_cosine_output,
        metrics.worst_output_error,
        metrics.worst_error_output,
        tuple(name for name, one in metrics.outputs.items() if not one["finite"]),
        (overflow["tensor"], overflow["magnitude"]) if overflow else None,
    )
