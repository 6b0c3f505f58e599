"""What the taps of each layer with weights read: means and second moments, over all samples.

A tap is one weight of an output channel: [C/groups * kh * kw] of a Conv, [K] of a Gemm or MatMul.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fixed_point.calibration.tap_readers import Reader, reader
from quant.graph.graph import Graph, attribute

Array = NDArray[Any]

_DAMPING = 0.003  # of the mean variance; GPTQ takes 0.01, for far more taps
_NOISE = 2.0**-36  # of the mean second moment: what is lost where the mean is subtracted
_BITS = 22  # of what a tap reads: sums over fewer than 2^9 places are exact in float64
_AT_ONCE, _MOST_AT_ONCE = 1 << 15, 32  # numbers, and samples, of a layer
_FEW = 64  # places
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


class TapSums:
    """Collects what `Taps` needs, sample by sample."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = Graph(model, is_copied=False)
        self._layers = list(weighted_layers(graph))
        self._readers: dict[tuple[str, tuple[int, ...]], Reader] = {}  # of a layer, for a shape
        self._waiting: dict[str, _Waiting] = {}
        self._sums: dict[str, tuple[Array, Array]] = {}
        self._counts: dict[str, int] = {}

    def add(self, tensors: Mapping[str, Array]) -> None:
        """tensors: every float tensor that a layer reads, inputs too, of one sample."""
        for node, weight in self._layers:
            x = tensors.get(node.input[0])
            if x is None:
                continue
            name = str(node.output[0])
            key = name, x.shape
            if key not in self._readers:
                self._readers[key] = reader(node, weight, x.shape)
            read = self._readers[key]
            if name not in self._sums:  # in the layers' order, as files hold them
                groups, taps, _ = read.shape
                self._sums[name] = np.zeros((groups, taps)), np.zeros((groups, taps, taps))
                self._counts[name] = 0
            waiting = self._waiting.get(name)
            if waiting is None or waiting.shape != read.shape:
                self._add_up(name)
                waiting = self._waiting[name] = _Waiting(read.shape)
            read(x, waiting.next())
            if waiting.is_full:
                self._add_up(name)

    def _add_up(self, name: str) -> None:
        """What waits of a layer, sample by sample: a sum in another order is another one."""
        waiting = self._waiting.get(name)
        if waiting is None or not waiting.count:
            return
        _, taps, places = waiting.shape
        first, second = self._sums[name]
        moments = _moments(waiting.columns[: waiting.count].reshape(-1, taps, places))
        for mean, products in zip(
            moments[0].reshape(-1, *first.shape), moments[1].reshape(-1, *second.shape), strict=True
        ):
            first += mean
            second += products
        self._counts[name] += waiting.count * places
        waiting.count = 0
        if waiting.is_for_one:  # large: no layer keeps its own
            del self._waiting[name]

    def taps(self) -> dict[str, Taps]:
        """By each layer's output."""
        for name in list(self._waiting):
            self._add_up(name)
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


class _Waiting:
    """What taps read of a few samples, which are looked at together where they are small.

    shape: of one, [groups, taps, places]. columns: [samples, *shape].
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        groups, taps, places = shape
        most = _AT_ONCE // max(1, groups * taps * (places + taps))
        self.shape = shape
        self.columns = np.empty((min(max(1, most), _MOST_AT_ONCE), *shape))
        self.count = 0

    @property
    def is_for_one(self) -> bool:
        return len(self.columns) == 1

    @property
    def is_full(self) -> bool:
        return self.count == len(self.columns)

    def next(self) -> Array:
        """Where the next sample's go."""
        self.count += 1
        place: Array = self.columns[self.count - 1]
        return place


def _moments(columns: Array) -> tuple[Array, Array]:
    """Sums over the places of what each tap reads, and of the products of two.

    columns: [n, taps, places], float64: squares of large reals overflow in float32; is overwritten.
    Each tap's are whole numbers times a power of two, so that every order gives the same sums: BLAS
    adds in another on other processors.
    """
    powers = np.frexp(_largest(columns))[1] - _BITS
    columns *= np.ldexp(1.0, -powers)[:, :, None]
    np.rint(columns, out=columns)
    columns *= np.ldexp(1.0, powers)[:, :, None]
    n, taps, places = columns.shape
    turned = columns.transpose(0, 2, 1)
    if taps > places:  # of its own transpose, NumPy has BLAS make one half and copies the other
        turned = turned.copy()
    sums = columns.reshape(-1, places) @ np.ones(places)
    return sums.reshape(n, taps), columns @ turned


def _largest(columns: Array) -> Array:
    """[n, taps]: of the magnitudes at all places."""
    n, taps, left = columns.shape
    found = np.abs(columns).reshape(-1)
    while left % 2 == 0 and left <= _FEW:  # a maximum of few takes its time for every tap
        found, left = np.maximum(found[::2], found[1::2]), left // 2
    most: Array = found.reshape(n, taps, left).max(axis=2)
    return most


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
