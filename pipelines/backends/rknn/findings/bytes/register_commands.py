"""Register commands of many small layers take a good part of the file.

Looks like: the tensors `regcmd` and `task`; on rk3588 about 6 KB for each layer.

Why: each layer is a list of register writes, written out again for each tile, and on rk3588 and
rk3576 for each number of cores that may share it. Small layers have more of them than weights.

Do: on rk3588 and rk3576 `quantize: {rknn: {single_core_mode: true}}` where one core is enough
(MobileNetV2 on rk3588: 350 to 68 KB). Fewer, larger layers.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.finding import Found, Report, counted, kind, megabytes, names

PLACE = 70


def find(report: Report) -> Iterator[Found]:
    size = report.ledger.kinds["commands"] + report.ledger.kinds["tasks"]
    layers = [layer for layer in report.layers if layer["target"] == "NPU"]
    if not size or not layers or not report.is_notable(size):
        return
    rows = sorted(report.nodes, key=lambda row: -kind([row], "commands", "tasks"))
    yield Found(
        f"{megabytes(size)} of commands and tasks for {counted(len(layers), 'layer')}, "
        f"{report.share(size):.1%} of the file",
        size,
        {
            "layers": len(layers),
            "bytes_per_layer": size // len(layers),
            "share": round(report.share(size), 4),
        },
        names(rows)[:10],
    )
