"""Means of channels over all samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

Array = NDArray[Any]
_PLACES = 1_024  # of an image


class ChannelMeans:
    """Of named tensors."""

    def __init__(self) -> None:
        self._sums: dict[str, Array] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, value: Array, axis: int) -> None:
        """One sample's tensor. axis: where its channels are."""
        self.add_each(name, value[None], axis)

    def add_each(self, name: str, values: Array, axis: int) -> None:
        """Several samples' tensors, [samples, *shape]. axis: where the channels of one are."""
        rank = values.ndim - 1
        if rank == 4 and axis == 1:  # of an image, every n-th row tells enough
            values = values[:, :, :, :: max(1, values[0, 0, 0].size // _PLACES)]
        others = (1 + i for i in range(rank) if i != axis % rank)
        rows = values.transpose(0, 1 + axis % rank, *others)
        # In the tensor's own type: in another it takes four times as long, and numpy adds in pairs,
        # which loses next to nothing.
        means = rows.reshape(*rows.shape[:2], -1).mean(axis=2)
        for mean in means.astype(np.float64):
            self._sums[name] = self._sums.get(name, 0.0) + mean
        self._counts[name] = self._counts.get(name, 0) + len(values)

    def of(self, name: str) -> tuple[float, ...] | None:
        """In float32, so that the order of the samples does not show."""
        if name not in self._sums:
            return None
        mean = (self._sums[name] / self._counts[name]).astype(np.float32)
        return tuple(mean.tolist())


def weighted_inputs(model: onnx.ModelProto) -> dict[str, int]:
    """Tensors that a layer with weights reads -> the axis that its channels are.

    What they hold on average corrects that layer's bias. Without those that a Conv and a MatMul
    read, whose channels are two axes.
    """
    axes = {"Conv": 1, "Gemm": -1, "MatMul": -1}
    found: dict[str, set[int]] = {}
    for node in model.graph.node:
        if node.op_type in axes:
            found.setdefault(str(node.input[0]), set()).add(axes[node.op_type])
    return {name: min(read) for name, read in found.items() if len(read) == 1}
