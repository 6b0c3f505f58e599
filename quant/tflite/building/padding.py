"""SAME and VALID padding as explicit numbers."""

from __future__ import annotations

from ai_edge_litert.schema_py_generated import Padding

from quant.graph.analysis.same_padding import same_pads


def explicit_pads(
    padding: int, size: int, kernel: int, stride: int, dilation: int = 1
) -> tuple[int, int]:
    """What to add before and after an axis of `size`."""
    if padding == Padding.VALID:
        return 0, 0
    return same_pads(size, kernel, stride, dilation)
