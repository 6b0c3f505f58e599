"""An operator does not run where it did when it was measured.

Looks like: its layers are on the CPU, and every form of it that was measured (docs/operators.md) on
the NPU of this platform; or the other way round. Same SDK, same type.

Why: the measured networks are small, [1, 32, 16, 16]. Where a large one is on the CPU instead, it
is the shape, an attribute or what stands beside it that keeps it from the NPU, not the operator.

Do: compare its shapes with the case in docs/operators.md; a Reshape or Transpose before it, or
fewer channels, may bring it back.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.finding import Found, Report, counted, dtype_of, listed
from pipelines.backends.rknn.measured import operators

PLACE = 95


def find(report: Report) -> Iterator[Found]:
    told = dtype_of(report)
    if told is None:
        return
    contrary: dict[tuple[str, str, str], list[str]] = {}
    for row in report.nodes:
        here = _place(report, str(row["node"]))
        was = operators.place(row["op"], report.build.platform, report.build.toolkit, told)
        if here and was in (operators.NPU, operators.CPU) and here != was:
            contrary.setdefault((row["op"], was, here), []).append(str(row["node"]))
    for (op, was, here), nodes in contrary.items():
        yield Found(
            f"{counted(len(nodes), op)} on the {here}, measured on the {was} of "
            f"{report.build.platform} with {report.build.toolkit}: {listed(nodes)}",
            0,
            {"operator": op, "measured": was, "here": here, "nodes": len(nodes)},
            nodes,
            is_cause=False,
        )


def _place(report: Report, node: str) -> str | None:
    """Where all layers of a node are; None where it has none of its own, or they differ."""
    places = {str(layer["target"]) for layer in report.layers if layer["node"] == node}
    return places.pop() if len(places) == 1 else None
