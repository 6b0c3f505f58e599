"""Convolutions have no activation behind them.

Looks like: layers `Conv` where others are `ConvRelu`; a usual suspect, said to make layers fall
back to float.

Why: the compiler fuses an activation into the convolution before it. Without one nothing is
fused and nothing else changes: the layer stays an integer one.

Do: nothing, unless layers below run in float and no other finding says why.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.bytes.float_fallback import fallen_back
from pipelines.backends.rknn.findings.bytes.operators.grouped import expanded
from pipelines.backends.rknn.findings.finding import Found, Report, kind, megabytes

PLACE = 140

PLAIN = ("Conv", "ConvAdd", "ConvTranspose")


def find(report: Report) -> Iterator[Found]:
    layers = [layer for layer in report.layers if layer["op_type"].startswith("Conv")]
    plain = [layer for layer in layers if layer["op_type"] in PLAIN]
    is_integer = report.ledger.is_integer
    fallen = {layer["id"] for layer in fallen_back(report)} if is_integer else set()
    explained = {row["node"] for row in expanded(report)}
    in_float = [one for one in plain if one["id"] in fallen and one["node"] not in explained]
    nodes = sorted({str(one["node"]) for one in in_float if one["node"]})
    tensors = [t for name in nodes for t in report.tensors(name) if t["dtype"].startswith("FLOAT")]
    size = kind(tensors, "widening")
    is_cause = report.is_notable(size)
    verdict = "a cause" if is_cause else "not the cause"
    yield Found(
        f"a missing activation is {verdict}: {len(plain)} of {len(layers)} compiled convolutions "
        f"have none, {len(in_float)} of these run in float for no other reason, {megabytes(size)}",
        size,
        {"convolutions": len(layers), "without": len(plain), "in_float": len(in_float)},
        nodes,
        is_cause=is_cause,
    )
