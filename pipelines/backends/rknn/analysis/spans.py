"""What the float network's tensors span, channel by channel, over the analyzed samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass
class Spans:
    """held: tensor -> lowest and highest of each channel (axis 1), [2, C]."""

    held: dict[str, Array] = field(default_factory=dict)

    def add(self, tensor: str, array: Array) -> None:
        """One sample of a tensor, [N, C, ...]; others are left out."""
        if array.ndim < 2 or not array.size or array.dtype.kind != "f":
            return
        axes = tuple(axis for axis in range(array.ndim) if axis != 1)
        low, high = array.min(axis=axes), array.max(axis=axes)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            return
        if tensor in self.held:
            before = self.held[tensor]
            low, high = np.minimum(before[0], low), np.maximum(before[1], high)
        self.held[tensor] = np.stack([low, high])

    def told(self) -> Mapping[str, tuple[list[float], list[float]]]:
        return {name: (low.tolist(), high.tolist()) for name, (low, high) in self.held.items()}
