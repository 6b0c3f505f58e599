"""The known causes, and what they say of a build."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pipelines.backends.rknn.findings.finding import Found, Report
from pipelines.backends.rknn.findings.suspect import Suspect, suspects
from quant.report.build_json import BuildReport
from quant.report.bytes_report import BytesReport

SUSPECTS = suspects(__package__)


def findings(
    ledger: BytesReport, build: BuildReport, only: Collection[str] = ()
) -> list[dict[str, Any]]:
    """What all suspects come to: causes first, each group by bytes. only: these, where named."""
    report = Report(ledger, build)
    asked = [suspect for suspect in SUSPECTS if not only or suspect.name in only]
    found = [(suspect, one) for suspect in asked for one in suspect.find(report)]
    found.sort(key=lambda pair: (not pair[1].is_cause, -pair[1].size_bytes))
    return [_row(suspect, one, report) for suspect, one in found]


def _row(suspect: Suspect, found: Found, report: Report) -> dict[str, Any]:
    return {
        "name": suspect.name,
        "title": suspect.title,
        "is_cause": found.is_cause,
        "because": found.because,
        "bytes": found.size_bytes,
        "share": round(report.share(found.size_bytes), 4),
        "nodes": list(found.nodes),
        "evidence": dict(found.evidence),
        "message": found.message,
        "why": suspect.why,
        "remedy": suspect.remedy,
    }
