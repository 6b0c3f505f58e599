"""Channels are padded to the NPU's blocks, and tensors to multiples of 64 bytes.

Looks like: a weight's stored shape is larger than its own; a usual suspect.

Why: the NPU reads 16 or 32 channels at a time. Only layers of very few channels lose much, such as
the first one with 3.

Do: use channel counts that are multiples of 32, where the bytes are a good part of the file; else
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.finding import Found, Report, kind, megabytes, names

PLACE = 150


def find(report: Report) -> Iterator[Found]:
    size = report.ledger.kinds["alignment"]
    of_nodes = kind(report.nodes, "alignment")
    is_cause = report.is_notable(of_nodes)
    verdict = "a cause" if is_cause else "not the cause"
    between = ""
    if report.is_notable(size) and not is_cause:
        rest = megabytes(size - of_nodes)
        between = f"; {rest} lie between the file's parts, where no count of channels changes them"
    padded = [row for row in report.nodes if row["kinds"].get("alignment")]
    rows = sorted(padded, key=lambda row: -kind([row], "alignment"))[:5]
    yield Found(
        f"alignment is {verdict}: {megabytes(size)} of padding, {report.share(size):.2%} of the "
        f"file{between}",
        size,
        {
            "share": round(report.share(size), 4),
            "in_tensors": kind(report.ledger.tensors, "alignment"),
            "largest": {str(row["node"]): kind([row], "alignment") for row in rows},
        },
        names(rows),
        is_cause=is_cause,
    )
