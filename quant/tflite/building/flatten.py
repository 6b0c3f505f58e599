"""Flatten in stored order, for a fully connected layer that permutes its weights instead."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from quant.tflite.building.builder import Builder
from quant.tflite.building.layout import plain
from quant.tflite.building.value import Value


def flat_columns(b: Builder, value: Value) -> tuple[str, NDArray[np.int64] | None]:
    """A value [N, ...], stored N first, as [N, K] without moving a byte.

    Returns the ONNX tensor and, where the stored order isn't TFLite's, the TFLite column of
    each stored column.
    """
    rows, columns = value.shape[0], prod(value.shape[1:])
    name = b.reshape(b.stored(value), value.stored_shape, (rows, columns))
    if value.order == plain(value.rank):
        return name, None
    numbers = np.arange(columns, dtype=np.int64).reshape(value.shape[1:])
    moved = numbers.transpose([axis - 1 for axis in value.order[1:]])
    return name, moved.reshape(-1)
