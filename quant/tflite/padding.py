"""SAME and VALID padding as explicit numbers."""

from __future__ import annotations

from ai_edge_litert.schema_py_generated import Padding


def explicit_pads(
    padding: int, size: int, kernel: int, stride: int, dilation: int = 1
) -> tuple[int, int]:
    """What to add before and after an axis of `size`.

    SAME makes ceil(size / stride) outputs and gives the odd one to the end.
    Source: TensorFlow Lite, kernels/padding.h.
    """
    if padding == Padding.VALID:
        return 0, 0
    outputs = -(-size // stride)
    reach = (kernel - 1) * dilation + 1
    total = max((outputs - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2
