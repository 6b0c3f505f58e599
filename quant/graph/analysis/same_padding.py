"""SAME padding as explicit numbers."""

from __future__ import annotations


def same_pads(length: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """What to add before and after an axis of `length`.

    SAME makes ceil(length / stride) outputs and gives the odd one to the end, as ONNX's SAME_UPPER.
    Source: TensorFlow Lite, kernels/padding.h.
    """
    reach = (kernel - 1) * dilation + 1
    total = max((-(-length // stride) - 1) * stride + reach - length, 0)
    return total // 2, total - total // 2
