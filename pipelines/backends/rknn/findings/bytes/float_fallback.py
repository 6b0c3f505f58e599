"""Layers of a quantized network run in float, though the recipe does not ask for it.

Looks like: FLOAT16 in the layer table of an int8 build, with conversions before and after.

Why: the NPU has no integer form of an operator (Softmax), of a size (convolutions that were made
dense on rk3576), or the SDK's quantizer left a tensor out. It is often the consequence of another
finding, which then says so.

Do: where it follows from another finding, cure that one. Else end the network before the operator
(`cut_postprocessing`), or take it as it is where its bytes and cycles are few.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.bytes.operators.grouped import expanded, is_multiplier
from pipelines.backends.rknn.findings.finding import (
    CONVERSION,
    Found,
    Report,
    Row,
    counted,
    kind,
    listed,
    megabytes,
)
from quant.report.sums import total

PLACE = 50


def find(report: Report) -> Iterator[Found]:
    if not report.ledger.is_integer:
        return
    layers = fallen_back(report)
    by_node = {row["node"]: row for row in report.nodes}
    causes = {
        row["node"]: "depthwise_multiplier" if is_multiplier(row) else "dense_grouped_convolution"
        for row in expanded(report)
    }
    groups: dict[str | None, list[Row]] = {}
    for layer in layers:
        groups.setdefault(causes.get(layer["node"]), []).append(layer)
    for because, members in groups.items():
        nodes = sorted({str(one["node"]) for one in members if one["node"]})
        tensors = [t for n in nodes for t in report.tensors(n) if t["dtype"].startswith("FLOAT")]
        size = kind(tensors, "widening")
        yield Found(
            f"{counted(len(members), 'layer')} in float ({listed(nodes)}); constants take "
            f"{megabytes(size)} more for it",
            size,
            {
                "layers": len(members),
                "cycles": total(one["cycles_total"] for one in members),
                "operators": sorted({one["op_type"] for one in members}),
                "nodes": len([n for n in nodes if n in by_node]),
            },
            nodes,
            is_cause=report.is_notable(size),
            because=because,
        )


def fallen_back(report: Report) -> list[Row]:
    """Layers in float that nobody asked for. A conversion is part of the layer behind it."""
    asked = {tensor for tensor, dtype in report.build.hybrid.items() if dtype == "float16"}
    outputs = report.build.outputs
    return [
        layer
        for layer in report.layers
        if "FLOAT" in layer["dtype"]
        and layer["op_type"] != CONVERSION
        and not asked.intersection(outputs[layer["id"]])
    ]
