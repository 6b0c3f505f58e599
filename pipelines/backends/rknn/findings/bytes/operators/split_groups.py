"""A grouped convolution is split into one convolution for each group.

Looks like: a Split, `X_group_0`, `X_group_1` ... and a Concat in the layer table; each small layer
has register commands, tasks and tables of its own, 9 to 10 KB on the three cores of rk3588.

Why: the NPU has no grouped convolution but depthwise; groups of at least a block (16 bytes of
channels; 8 on rk3566 and rk3568) are computed one by one.

Do: merging groups (`simplify: {rewrite: [merge_groups]}`) leaves fewer layers; on rk3588 and rk3576
`quantize: {rknn: {single_core_mode: true}}` takes a third of the commands.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.finding import Found, Report, kind, listed, megabytes, names

PLACE = 40


def find(report: Report) -> Iterator[Found]:
    rows = [
        row
        for row in report.nodes
        if (row["group"] or 1) > 1 and len(row["layers"]) >= row["group"]
    ]
    if not rows:
        return
    layers = sum(len(row["layers"]) for row in rows)
    size = kind(rows, "commands", "tasks", "metadata")
    yield Found(
        f"{len(rows)} convolutions ({listed(names(rows))}) became {layers} layers: "
        f"{megabytes(size)} to run {megabytes(kind(rows, 'payload'))} of weights",
        size,
        {
            "convolutions": len(rows),
            "layers": layers,
            "groups": sorted({row["group"] for row in rows}),
            "commands": kind(rows, "commands"),
            "metadata": kind(rows, "metadata"),
            "payload": kind(rows, "payload"),
        },
        names(rows),
        is_cause=report.is_notable(size),
    )
