"""The known causes of lost accuracy, and what they say of an analysis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipelines.backends.rknn.findings.accuracy.evidence import Evidence
from pipelines.backends.rknn.findings.suspect import suspects

# What the data is comes first, then what is held wrongly, then where it shows.
SUSPECTS = suspects(__package__)


def findings(evidence: Evidence) -> list[dict[str, Any]]:
    """What all suspects come to, as data: causes first, in the table's order."""
    return sorted(_rows(evidence), key=lambda row: not row["is_cause"])


def _rows(evidence: Evidence) -> Iterator[dict[str, Any]]:
    for suspect in SUSPECTS:
        for found in suspect.find(evidence):
            yield {
                "name": suspect.name,
                "title": suspect.title,
                "is_cause": found.is_cause,
                "nodes": list(found.nodes),
                "evidence": dict(found.evidence),
                "message": found.message,
                "why": suspect.why,
                "remedy": suspect.remedy,
            }
