"""Layers run on the CPU.

Looks like: target CPU in the layer table. A Reshape that only renames a shape costs nothing; an
Exp or a Softmax moves its data out of the NPU's layout and back.

Why: the NPU has no such operator, or not for this shape or type.

Do: end the network before them (`cut_postprocessing`) and compute the rest with the result in
float, or replace the operator by one that the NPU has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pipelines.backends.rknn.findings.finding import Found, Report, counted, dtype_of, listed
from pipelines.backends.rknn.measured.operators import told

PLACE = 90


def find(report: Report) -> Iterator[Found]:
    layers = [layer for layer in report.layers if layer["target"] == "CPU"]
    if not layers:
        return
    operators = Counter(str(layer["op_type"]) for layer in layers)
    nodes = sorted({str(layer["node"]) for layer in layers if layer["node"]})
    each = ", ".join(f"{count} {name}" for name, count in operators.most_common())
    known = _known(report, nodes)
    yield Found(
        "; ".join(
            (f"{counted(len(layers), 'layer')} on the CPU ({each}): {listed(nodes)}", *known)
        ),
        0,
        {
            "layers": len(layers),
            "operators": dict(operators.most_common()),
            **({"measured": known} if known else {}),
        },
        nodes,
        is_cause=False,
    )


def _known(report: Report, nodes: Sequence[str]) -> list[str]:
    """What docs/operators.md has of their operators, a sentence each."""
    dtype, build = dtype_of(report), report.build
    if dtype is None:
        return []
    held = {str(row["op"]) for row in report.nodes if row["node"] in nodes}
    found = (told(one, build.platform, build.toolkit, dtype) for one in sorted(held))
    return [sentence for sentence in found if sentence]
