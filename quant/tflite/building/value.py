"""A TFLite tensor as the ONNX graph holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.tflite.building.layout import Order, arrange


@dataclass(frozen=True)
class Value:
    """name: the ONNX tensor, or what to call a constant. shape: as TFLite counts axes.

    array:   a constant's values, in TFLite's order.
    columns: for a flattened [N, K] tensor whose second axis is stored in another order:
             stored column i holds TFLite's column columns[i].
    """

    name: str
    shape: tuple[int, ...]
    order: Order
    dtype: np.dtype[Any]
    array: NDArray[Any] | None = None
    columns: NDArray[np.int64] | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return arrange(self.shape, self.order)
