"""The tensors of the network in the TFLite file, and in which order their axes are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from quant.fixed_point.network.network import Integers, Network
from quant.fixed_point.tflite.builder import TFLiteBuilder

LAST = (0, 2, 3, 1)  # channels last: stored axis i holds axis LAST[i] of [N, C, H, W]
FIRST = (0, 3, 1, 2)  # and back


@dataclass(frozen=True)
class Value:
    """index: of the TFLite tensor. shape: as the network counts axes. is_last: channels last."""

    index: int
    shape: tuple[int, ...]
    is_last: bool = False

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return tuple(self.shape[axis] for axis in LAST) if self.is_last else self.shape

    def axis(self, axis: int) -> int:
        """Where an axis of the network is stored."""
        return LAST.index(axis) if self.is_last else axis

    def stored(self, numbers: tuple[int, ...]) -> tuple[int, ...]:
        """One number an axis, in the stored order."""
        return tuple(numbers[axis] for axis in LAST) if self.is_last else numbers

    def array(self, array: NDArray[Any]) -> NDArray[Any]:
        """A constant that broadcasts to the value, in the stored order of axes."""
        if array.size == 1:
            return array.reshape(-1 if self.shape else ())
        if not self.is_last:
            return array
        return array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(LAST)


class Emission:
    """values: tensor of the network -> what holds its codes, as float32."""

    def __init__(self, builder: TFLiteBuilder, network: Network) -> None:
        self.builder = builder
        self.network = network
        self.values: dict[str, Value] = {}
        self._moved: dict[tuple[int, tuple[int, ...]], Value] = {}

    def last(self, value: Value) -> Value:
        """A value of four axes, channels last."""
        if value.is_last or len(value.shape) != 4:
            return value
        return self._move(value, LAST, True)

    def first(self, value: Value) -> Value:
        """A value in the network's own order of axes."""
        return self._move(value, FIRST, False) if value.is_last else value

    def _move(self, value: Value, perm: tuple[int, ...], is_last: bool) -> Value:
        key = (value.index, perm)  # a transposed tensor may be the same one, in another order
        if key not in self._moved:
            shape = tuple(value.stored_shape[axis] for axis in perm)
            index = self.transpose(value.index, perm, shape, f"moved_{value.index}")
            self._moved[key] = Value(index, value.shape, is_last)
        return self._moved[key]

    def transpose(self, index: int, perm: tuple[int, ...], shape: Any, name: str) -> int:
        order = self.builder.constant(np.array(perm, np.int32), f"{name}/perm")
        options = schema.TransposeOptionsT()
        dtype = self.builder.dtype(index)  # indices are moved too
        return self.builder.op("TRANSPOSE", [index, order], shape, name, options, dtype)

    def reshape(self, index: int, shape: tuple[int, ...], name: str) -> int:
        options = schema.ReshapeOptionsT()
        options.newShape = np.array(shape, np.int32)
        wanted = self.builder.constant(np.array(shape, np.int32), f"{name}/shape")
        return self.builder.op("RESHAPE", [index, wanted], shape, name, options)

    def aligned(self, *values: Value) -> tuple[Value, ...]:
        """Values that broadcast to each other, in one order and, where that matters, one rank."""
        if not any(value.is_last for value in values):
            return values
        whole = tuple(self._to_four(value) for value in values)
        return tuple(self.last(value) for value in whole)

    def _to_four(self, value: Value) -> Value:
        rank = len(value.shape)
        if rank == 4:
            return value
        shape = (1,) * (4 - rank) + value.shape
        return Value(self.reshape(value.index, shape, f"four_{value.index}"), shape)

    def binary(
        self, kind: str, a: Value, b: Value | int, name: str, shape: tuple[int, ...] | None = None
    ) -> Value:
        """ADD, SUB, MUL, DIV, MINIMUM or MAXIMUM. b: of a's order, or a constant's index."""
        index = b.index if isinstance(b, Value) else b
        result = Value(0, shape or a.shape, a.is_last)
        made = self.builder.op(kind, [a.index, index], result.stored_shape, name, _OPTIONS[kind]())
        return Value(made, result.shape, a.is_last)

    def constant(self, kind: str, a: Value, values: Integers, name: str) -> Value:
        """`binary` with whole numbers that broadcast to `a`."""
        return self.binary(kind, a, self.builder.whole(a.array(values), f"{name}/constant"), name)

    def number(self, kind: str, a: Value, value: float, name: str) -> Value:
        constant = self.builder.number(value, f"{kind.lower()}_{value}", is_scalar=not a.shape)
        return self.binary(kind, a, constant, name)

    def unary(self, kind: str, a: Value, name: str) -> Value:
        index = self.builder.op(kind, [a.index], a.stored_shape, name)
        return Value(index, a.shape, a.is_last)

    def clipped(self, a: Value, low: int, high: int, name: str) -> Value:
        a = self.number("MAXIMUM", a, low, f"{name}/least")
        return self.number("MINIMUM", a, high, name)


_OPTIONS = {
    "ADD": schema.AddOptionsT,
    "SUB": schema.SubOptionsT,
    "MUL": schema.MulOptionsT,
    "DIV": schema.DivOptionsT,
    "MINIMUM": schema.MaximumMinimumOptionsT,
    "MAXIMUM": schema.MaximumMinimumOptionsT,
}
