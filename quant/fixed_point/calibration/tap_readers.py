"""What the taps of a layer read of one sample: [groups, taps, places], at a few places."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fixed_point.network.geometry import pads, pair
from quant.graph.graph import attribute

Array = NDArray[Any]

_POSITIONS = 256  # places of one sample whose windows count; every n-th where there are more


class Reader(ABC):
    """Of a layer, for one shape of its input. shape: of what it reads."""

    shape: tuple[int, int, int]

    @abstractmethod
    def __call__(self, x: Array, out: Array) -> None:
        """x: the layer's input. out: of the shape, float64."""


def reader(node: onnx.NodeProto, weight: Array, shape: tuple[int, ...]) -> Reader:
    """weight: [outputs, inputs a group, ...]. shape: of the layer's input.

    Raises ValueError where a window is larger than what it reads.
    """
    if node.op_type != "Conv":
        return _Rows(shape)
    kernel = (weight.shape[2], weight.shape[3])
    around, strides = pads(node, shape, kernel), pair(node, "strides")
    if {*kernel, *strides} == {1} and not any(around):
        return _Points(shape, groups_of(node))
    return _Windows(shape, groups_of(node), kernel, strides, around, pair(node, "dilations"))


def groups_of(node: onnx.NodeProto) -> int:
    given = attribute(node, "group", 1)
    assert isinstance(given, int)
    return given


def places(count: int) -> Array:
    """Those of a sample's places that count."""
    return np.arange(0, count, _step(count))


def _step(count: int) -> int:
    return max(1, count // _POSITIONS) | 1  # odd, so that no even width is met in step


class _Rows(Reader):
    """Of a Gemm or MatMul: each row is a place."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._step = _step(math.prod(shape[:-1]))
        self.shape = (1, shape[-1], len(places(math.prod(shape[:-1]))))

    def __call__(self, x: Array, out: Array) -> None:
        out[0] = x.reshape(-1, x.shape[-1])[:: self._step].T


class _Points(Reader):
    """Of a Conv that reads each place by itself."""

    def __init__(self, shape: tuple[int, ...], groups: int) -> None:
        count = math.prod(shape) // shape[1]
        self._step = _step(count)
        self.shape = (groups, shape[1] // groups, len(places(count)))

    def __call__(self, x: Array, out: Array) -> None:
        points = x.transpose(1, 0, 2, 3).reshape(x.shape[1], -1)
        out[:] = points[:, :: self._step].reshape(self.shape)


class _Windows(Reader):
    """Of any other Conv: where each tap is at each place, in the padded image of one channel."""

    def __init__(
        self,
        shape: tuple[int, ...],
        groups: int,
        kernel: Sequence[int],
        strides: Sequence[int],
        around: Sequence[int],
        dilations: Sequence[int],
    ) -> None:
        batch, channels, height, width = shape
        top, left, bottom, right = around
        rows, columns = top + height + bottom, left + width + right
        spread = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        if spread[0] > rows or spread[1] > columns:
            raise ValueError(
                f"a window of {spread} is larger than what it reads, {[rows, columns]}"
            )
        out = (rows - spread[0]) // strides[0] + 1, (columns - spread[1]) // strides[1] + 1
        n, y, x = np.unravel_index(places(batch * math.prod(out)), (batch, *out))
        first = (n * rows + y * strides[0]) * columns + x * strides[1]
        taps = [a * dilations[0] * columns + b * dilations[1] for a, b in np.ndindex(*kernel)]
        self._index = np.array(taps)[:, None] + first
        self._padded = (channels, batch, rows, columns)
        self._inside = np.s_[:, :, top : top + height, left : left + width]
        self.shape = (groups, channels // groups * len(taps), len(first))

    def __call__(self, x: Array, out: Array) -> None:
        padded = np.zeros(self._padded)
        padded[self._inside] = x.transpose(1, 0, 2, 3)
        flat = padded.reshape(len(padded), -1)
        flat.take(self._index, axis=1, out=out.reshape(len(flat), *self._index.shape), mode="clip")
