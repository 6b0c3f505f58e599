"""A Concat on the channel axis is computed as a dense 1x1 convolution.

Looks like: a hidden constant `X-rs_conv_weight` of N x N numbers, all but N of them 0, that the
SDK's log never lists. Usual in SSD-style heads that join [1, n, 4] of several levels on axis 1.

Why: the NPU keeps channels in blocks (16 of int8), and joins only whole blocks. Where an input's
number of channels is no multiple, the compiler multiplies by an identity instead.

Do: join on another axis: `simplify: {rewrite: [concat_on_spatial_axis]}` reshapes before and after,
with identical outputs. Or end the network before the Concat and join on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.finding import Found, Report, listed, megabytes, names

PLACE = 10


def find(report: Report) -> Iterator[Found]:
    hidden = [t for t in report.ledger.tensors if t["is_hidden"]]
    weights = {t["node"]: t for t in hidden if t["name"].endswith("_conv_weight")}
    rows = [row for row in report.nodes if row["op"] == "Concat" and row["node"] in weights]
    if not rows:
        return
    channels = {
        layer["node"]: [shape[1] for shape in layer["inputs"] if len(shape) > 1]
        for layer in report.ledger.layers
        if layer["op"] == "Concat"
    }
    evidence = [
        {
            "node": row["node"],
            "channels": channels.get(row["node"], []),
            "weights": weights[row["node"]]["shape"],
            "weight_bytes": weights[row["node"]]["bytes"],
            "weight_bytes_not_zero": weights[row["node"]]["bytes"]
            - weights[row["node"]]["zero_bytes"],
        }
        for row in rows
    ]
    size = sum(t["bytes"] for t in hidden if t["node"] in weights)
    yield Found(
        f"{listed(names(rows))}: {megabytes(size)} of hidden weights, of which "
        f"{sum(one['weight_bytes_not_zero'] for one in evidence):,} bytes are not 0",
        size,
        {"concats": evidence},
        names(rows),
        is_cause=report.is_notable(size),
    )
