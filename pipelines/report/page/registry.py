"""The index over all models: one row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_FIGURES = ("accuracy_float", "accuracy", "drop", "output_error", "worst_cosine", "size_ratio")


def row(page: Mapping[str, Any], link: str | None) -> dict[str, Any]:
    """A model's row: the worst of each figure over its targets, and which target has it.

    not_finite: targets with an output that is not finite, which has no error to be the worst.
    Targets that are bad on purpose count where there are no others.
    """
    built = [target for target in page["targets"] if target["is_built"]]
    judged = [target for target in built if not target["is_baseline"]] or built
    return {
        "model": page["model"],
        "description": page["description"],
        "link": link,
        "targets": [target["name"] for target in page["targets"]],
        "built": len(built),
        "not_finite": [target["name"] for target in judged if target["not_finite"]],
        "stale": [target["name"] for target in page["targets"] if target["stale"]],
        "artifact_bytes": _worst(judged, "artifact_bytes"),
        **{name: _worst(judged, name) for name in _FIGURES},
    }


def _worst(targets: Sequence[Mapping[str, Any]], name: str) -> tuple[float, str] | None:
    """The figure and its target. Low is bad for accuracies and cosines, high for the others."""
    known = [(target[name], target["name"]) for target in targets if target[name] is not None]
    low = name.startswith("accuracy") or name.endswith("cosine")
    return (min if low else max)(known, default=None)
