"""Layers run on the CPU.

Looks like: target CPU in the layer table. A Reshape that only renames a shape costs nothing; an
Exp or a Softmax moves its data out of the NPU's layout and back.

Why: the NPU has no such operator, or not for this shape or type.

Do: end the network before them (`cut_postprocessing`) and compute the rest with the result in
float, or replace the operator by one that the NPU has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pipelines.backends.rknn.findings.finding import Found, Report, counted, listed

PLACE = 90


def find(report: Report) -> Iterator[Found]:
    layers = [layer for layer in report.layers if layer["target"] == "CPU"]
    if not layers:
        return
    operators = Counter(str(layer["op_type"]) for layer in layers)
    nodes = sorted({str(layer["node"]) for layer in layers if layer["node"]})
    told = ", ".join(f"{count} {name}" for name, count in operators.most_common())
    yield Found(
        f"{counted(len(layers), 'layer')} on the CPU ({told}): {listed(nodes)}",
        0,
        {"layers": len(layers), "operators": dict(operators.most_common())},
        nodes,
        is_cause=False,
    )
