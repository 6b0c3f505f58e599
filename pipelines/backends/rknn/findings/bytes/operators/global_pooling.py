"""Global average pooling is computed as a convolution.

Looks like: the rule `convert_global_avgpool_to_conv` fires; a usual suspect.

Why: the NPU averages by a convolution with equal weights. They are depthwise, one window for each
channel, and so few: 63 KB for 1280 channels of 7 x 7.

Do: pool a smaller map, or fewer channels, where the bytes are a good part of the file; else
nothing. `mean((2, 3))` gives the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.finding import Found, Report, kind, listed, megabytes, names

PLACE = 130

RULE = "convert_global_avgpool_to_conv"


def find(report: Report) -> Iterator[Found]:
    met = {name for one in report.ledger.rules if one["rule"] == RULE for name in one["nodes"]}
    rows = [r for r in report.nodes if r["op"] == "GlobalAveragePool" or r["node"] in met]
    size = sum(row["bytes"] for row in rows)
    constants = [t["bytes"] for row in rows for t in report.tensors(row["node"])]
    is_cause = report.is_notable(size)
    verdict = "a cause" if is_cause else "not the cause"
    told = f"{listed(names(rows))}: {megabytes(size)}" if rows else "there is none"
    yield Found(
        f"global pooling is {verdict} ({told}, {report.share(size):.2%} of the file)",
        size,
        {
            "poolings": len(rows),
            "constants": sum(constants),
            "largest_constant": max(constants, default=0),
            "commands": kind(rows, "commands", "tasks"),
            "share": round(report.share(size), 4),
        },
        names(rows),
        is_cause=is_cause,
    )
