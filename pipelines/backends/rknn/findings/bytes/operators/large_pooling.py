"""A pooling window that is larger than the NPU's is computed in many steps.

Looks like: one AveragePool or MaxPool of the network is many layers of the file, up to 86 for a
window of 56 x 56.

Why: the NPU pools over windows of a few pixels; a larger one is split into a chain of
convolutions or poolings, each with weights and commands of its own.

Do: pool over the whole map (GlobalAveragePool) where that is meant, or in steps of smaller windows
whose product is the large one: `simplify: {rewrite: [split_average_pool]}`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.finding import Found, Report, listed, megabytes, names

PLACE = 80

POOLING = ("AveragePool", "MaxPool", "LpPool")
USUAL_LAYERS = 3  # pooling, with a padding before or a conversion on each side


def find(report: Report) -> Iterator[Found]:
    pools = [row for row in report.nodes if row["op"] in POOLING]
    rows = [row for row in pools if len(row["layers"]) > USUAL_LAYERS]
    if not rows:
        return
    size = sum(row["bytes"] for row in rows)
    layers = sum(len(row["layers"]) for row in rows)
    yield Found(
        f"{listed(names(rows))} became {layers} layers and {megabytes(size)}",
        size,
        {"layers": layers, "poolings": len(rows)},
        names(rows),
        is_cause=report.is_notable(size),
    )
