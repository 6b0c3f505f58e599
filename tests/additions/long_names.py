"""Nodes with a long name.

Looks like: a name of more than 40 letters.

Why: somebody wrote it.

Do: write a shorter one.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.finding import Found, Report

PLACE = 500


def find(report: Report) -> Iterator[Found]:
    found = [row["node"] for row in report.nodes if len(row["node"]) > 40]
    if found:
        yield Found(f"{len(found)} names are long", 0, {"names": len(found)}, found)
