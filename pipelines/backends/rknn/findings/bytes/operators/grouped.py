"""Convolutions with groups, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.backends.rknn.findings.finding import (
    Found,
    Report,
    Row,
    counted,
    kind,
    listed,
    megabytes,
    names,
)


def expanded(report: Report) -> list[Row]:
    """Nodes whose grouped weights were filled up with zeros."""
    return [row for row in report.nodes if row["kinds"].get("zero_fill")]


def is_multiplier(row: Row) -> bool:
    """Whether every input channel has a group of its own, with several outputs each."""
    if row["op"] != "Conv" or not row["weights"]:
        return False
    shape = row["weights"][0]
    return len(shape) > 2 and shape[1] == 1 and shape[0] > row["group"]


def filled(report: Report, rows: Sequence[Row]) -> Found:
    """What expanded nodes cost. Zeros in a wider type than the build's cost that width too."""
    zeros, payload = kind(rows, "zero_fill"), kind(rows, "payload")
    size = sum(_cost(report, row) for row in rows)
    evidence = {
        "convolutions": len(rows),
        "zero_fill": zeros,
        "payload": payload,
        "groups": sorted({row["group"] for row in rows}),
        "weights": [row["weights"][0] for row in rows[:1]],
    }
    message = (
        f"{counted(len(rows), 'convolution')} ({listed(names(rows))}): {megabytes(size)} of zeros "
        f"around {megabytes(payload)} of weights"
    )
    return Found(message, size, evidence, names(rows), is_cause=report.is_notable(size))


def _cost(report: Report, row: Row) -> int:
    found = 0
    for tensor in report.tensors(row["node"]):
        kinds = tensor["kinds"]
        zeros = kinds.get("zero_fill", 0)
        if zeros:
            ours = zeros + kinds.get("payload", 0)
            found += zeros + kinds.get("widening", 0) * zeros // ours
    return found
