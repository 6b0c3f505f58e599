"""What the taps of each layer with weights read: means and second moments, over all samples.

A tap is one weight of an output channel: [C/groups * kh * kw] of a Conv, [K] of a Gemm or MatMul.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fixed_point.network.geometry import pads, pair
from quant.fixed_point.network.windows import windows
from quant.graph.graph import Graph, attribute

Array = NDArray[Any]

_POSITIONS = 256  # places of one sample whose windows count; every n-th where there are more
_DAMPING = 0.003  # of the mean variance; GPTQ takes 0.01, for far more taps
_NOISE = 2.0**-36  # of the mean second moment: what is lost where the mean is subtracted
_BITS = 22  # of what a tap reads: sums over fewer than 2^9 places are exact in float64
_BLOCK = 64  # columns that are eliminated one by one
_TILE = 128  # rows and columns of a product
_LAYERS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class Taps:
    """Of one layer, a row a group of channels.

    mean: [groups, taps]. order: [groups, taps], the taps by falling second moment. factor: upper U,
    [groups, taps, taps] in that order, with U^T U the inverse of the taps' covariance.
    """

    mean: NDArray[np.float32]
    order: NDArray[np.int32]
    factor: NDArray[np.float32]


class _Window(NamedTuple):
    """Where the windows of a Conv are."""

    kernel: Sequence[int]
    strides: Sequence[int]
    pads: Sequence[int]
    dilations: Sequence[int]

    @property
    def is_point(self) -> bool:
        """It reads each place by itself."""
        return {*self.kernel, *self.strides} == {1} and not any(self.pads)


class TapSums:
    """Collects what `Taps` needs, sample by sample."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = Graph(model, is_copied=False)
        self._layers = list(weighted_layers(graph))
        self._windows: dict[tuple[str, tuple[int, ...]], _Window] = {}  # of a layer, for a shape
        self._sums: dict[str, list[Array]] = {}
        self._counts: dict[str, int] = {}

    def add(self, tensors: Mapping[str, Array]) -> None:
        """tensors: every float tensor that a layer reads, inputs too, of one sample."""
        for node, weight in self._layers:
            if node.input[0] not in tensors:
                continue
            name = str(node.output[0])
            rows = self._rows(name, node, weight, tensors[node.input[0]])
            found = _moments(rows.transpose(1, 0, 2).astype(np.float64))
            sums = self._sums.setdefault(name, [np.zeros(part.shape) for part in found])
            for total, part in zip(sums, found, strict=True):
                total += part
            self._counts[name] = self._counts.get(name, 0) + len(rows)

    def _rows(self, name: str, node: onnx.NodeProto, weight: Array, x: Array) -> Array:
        """What the taps read at a few places, [positions, groups, taps]. x: the layer's input."""
        if node.op_type != "Conv":
            rows = x.reshape(-1, 1, x.shape[-1])
            return rows[:: _step(len(rows))]
        if (name, x.shape) not in self._windows:
            self._windows[name, x.shape] = _window(node, weight, x.shape)
        picked = _picked(self._windows[name, x.shape], x)
        return picked.reshape(len(picked), groups_of(node), -1)

    def taps(self) -> dict[str, Taps]:
        """By each layer's output."""
        return {
            name: _of(first / self._counts[name], second / self._counts[name])
            for name, (first, second) in self._sums.items()
        }


def weighted_layers(graph: Graph) -> Iterator[tuple[onnx.NodeProto, Array]]:
    """Nodes with constant weights, and those as [outputs, inputs a group, ...], a view."""
    for node in graph.nodes:
        weight = graph.constant(node.input[1]) if node.op_type in _LAYERS else None
        if weight is None or (weight.ndim != 4 if node.op_type == "Conv" else weight.ndim != 2):
            continue
        is_turned = node.op_type != "Conv" and not attribute(node, "transB", 0)
        yield node, weight.T if is_turned else weight


def groups_of(node: onnx.NodeProto) -> int:
    given = attribute(node, "group", 1)
    assert isinstance(given, int)
    return given


def save(taps: Mapping[str, Taps], file: Path) -> None:
    """An npz file: NUMBER/mean, /order and /factor of each layer, and their names."""
    arrays: dict[str, Array] = {"names": np.array(list(taps), dtype=np.str_)}
    for i, one in enumerate(taps.values()):
        arrays |= {f"{i}/mean": one.mean, f"{i}/order": one.order, f"{i}/factor": one.factor}
    with file.open("wb") as out:
        np.savez_compressed(out, **arrays)


def load(file: Path) -> dict[str, Taps]:
    """What `save` wrote."""
    with np.load(file, allow_pickle=False) as arrays:
        return {
            str(name): Taps(arrays[f"{i}/mean"], arrays[f"{i}/order"], arrays[f"{i}/factor"])
            for i, name in enumerate(arrays["names"])
        }


def _window(node: onnx.NodeProto, weight: Array, shape: tuple[int, ...]) -> _Window:
    kernel = (weight.shape[2], weight.shape[3])
    return _Window(
        kernel, pair(node, "strides"), pads(node, shape, kernel), pair(node, "dilations")
    )


def _picked(window: _Window, x: Array) -> Array:
    """The windows at a few places of an image, [positions, C, kh, kw] or all of one as a row."""
    if window.is_point:
        points = x.transpose(1, 0, 2, 3).reshape(x.shape[1], -1)
        return points[:, :: _step(points.shape[1])].T
    view = windows(x, window.kernel, window.strides, window.pads, window.dilations, 0)
    batch, _, height, width = view.shape[:4]
    n, y, x_ = np.unravel_index(places(batch * height * width), (batch, height, width))
    found: Array = view[n, :, y, x_]
    return found


def places(count: int) -> Array:
    """Those of a sample's places that count."""
    return np.arange(0, count, _step(count))


def _step(count: int) -> int:
    return max(1, count // _POSITIONS) | 1  # odd, so that no even width is met in step


def _moments(columns: Array) -> tuple[Array, Array]:
    """Sums over the places of what each tap reads, and of the products of two.

    columns: [groups, places, taps], float64: squares of large reals overflow in float32. Each tap's
    are whole numbers times a power of two, so that every order gives the same sums: BLAS adds in
    another on other processors.
    """
    powers = np.frexp(np.abs(columns).max(axis=1))[1] - _BITS
    unit = np.ldexp(1.0, powers)
    whole = columns * np.ldexp(1.0, -powers)[:, None]
    np.rint(whole, out=whole)
    products = whole.transpose(0, 2, 1) @ whole
    products *= unit[:, :, None]
    products *= unit[:, None, :]
    return whole.sum(axis=1) * unit, products


def _of(mean: Array, second: Array) -> Taps:
    """mean: [groups, taps]. second: mean of the products, [groups, taps, taps]."""
    covariance = second - mean[:, :, None] * mean[:, None, :]
    diagonal = np.einsum("gtt->gt", covariance)  # a view
    np.maximum(diagonal, 0, out=diagonal)
    moments = np.einsum("gtt->gt", second).mean(axis=1, keepdims=True)
    damping = np.maximum(_DAMPING * diagonal.mean(axis=1, keepdims=True), _NOISE * moments)
    diagonal += np.where(damping > 0, damping, 1.0)  # taps that read nothing but constants
    order = np.argsort(-diagonal, axis=1, kind="stable")
    rows = np.arange(len(order))[:, None, None]
    ordered = covariance[rows, order[:, :, None], order[:, None, :]]
    factor = _inverse_root(ordered)
    return Taps(mean.astype(np.float32), order.astype(np.int32), factor.astype(np.float32))


def _inverse_root(matrices: Array) -> Array:
    """Upper U with U^T U the inverse of each, which is positive definite; [n, m, m].

    With V D V^T = the matrix, V upper with ones on its diagonal, U = D^-1/2 V^-1. Element by
    element in blocks of columns, and exact sums between them: LAPACK's is another on other
    processors.
    """
    count, size = matrices.shape[:2]
    rest = matrices.transpose(0, 2, 1).copy()  # turned: what is above its diagonal is not kept up
    made = np.zeros_like(matrices) + np.eye(size)
    for end in range(size, 0, -_BLOCK):
        start = max(0, end - _BLOCK)
        shares = np.zeros((count, end - start, end))
        for k in reversed(range(start, end)):
            column, share = rest[:, k, :k], shares[:, k - start, :k]
            np.divide(column, rest[:, k, k, None], out=share)
            rest[:, start:k, :k] -= column[:, start:, None] * share[:, None, :]
            made[:, start:k, k:] -= share[:, start:, None] * made[:, k, None, k:]
        if start:
            columns, above = _halves(rest[:, start:end, :start]), _halves(shares[:, :, :start])
            turned = _turned(above)
            for row in range(0, start, _TILE):
                after = min(start, row + _TILE)
                part = rest[:, row:after, :after]
                _subtract(part, columns[:, :, row:after], turned[:, :, :after])
            _subtract(made[:, :start, start:], above, _turned(_halves(made[:, start:end, start:])))
    pivots = np.einsum("gtt->gt", rest)
    assert (pivots > 0).all()
    return np.asarray(made / np.sqrt(pivots)[:, :, None])


def _halves(values: Array) -> Array:
    """[n, b, p] as [n, 2b, p] of high and low, whose sum it is to 2^-44 of the largest in a column.

    Each is a whole number of 22 bits times a power of two, one a column: sums of the products of
    two such columns are exact in float64, as in `_moments`.
    """
    most = values.shape[1]
    made = np.empty((len(values), 2 * most, values.shape[2]))
    high, low = made[:, :most], made[:, most:]
    unit = np.ldexp(1.0, np.frexp(np.abs(values).max(axis=1, keepdims=True))[1] - _BITS)
    np.rint(np.divide(values, unit, out=high), out=high)
    high *= unit
    np.subtract(values, high, out=low)
    unit *= 2.0**-_BITS
    np.rint(np.divide(low, unit, out=low), out=low)
    low *= unit
    return made


def _turned(halves: Array) -> Array:
    """low and high."""
    return np.roll(halves, halves.shape[1] // 2, axis=1)


def _subtract(target: Array, left: Array, right: Array) -> None:
    """Take from target [n, p, q] the product of [n, b, p], turned, and [n, b, q], in any order.

    left: halves. right: halves of the other, turned. The product of the low ones is left out. In
    tiles that stay in the processor's cache.
    """
    most = left.shape[1] // 2
    for row in range(0, target.shape[1], _TILE):
        one = left[:, :, row : row + _TILE].transpose(0, 2, 1)
        for column in range(0, target.shape[2], _TILE):
            other = right[:, :, column : column + _TILE]
            found = one[:, :, :most] @ other[:, most:] + one @ other
            target[:, row : row + _TILE, column : column + _TILE] -= found
