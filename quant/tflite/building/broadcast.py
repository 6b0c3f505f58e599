"""Bring the operands of an elementwise operator into one order."""

from __future__ import annotations

from collections.abc import Sequence

from quant.tflite.building.builder import Builder
from quant.tflite.building.layout import Order, plain
from quant.tflite.building.regroup import reshaped
from quant.tflite.building.value import Value


def common_order(values: Sequence[Value], rank: int) -> Order:
    """The order of the first computed operand of full rank that isn't stored plainly."""
    orders = [v.order for v in values if v.array is None and v.rank == rank]
    moved = [order for order in orders if order != plain(rank)]
    return moved[0] if moved else plain(rank)


def align(b: Builder, values: Sequence[Value]) -> tuple[list[str], Order]:
    """The operands stored so that ONNX broadcasts them as TFLite does, and that order."""
    rank = max(v.rank for v in values)
    order = common_order(values, rank)
    return [operand(b, v, rank, order) for v in values], order


def operand(b: Builder, value: Value, rank: int, order: Order) -> str:
    if value.rank == 0:
        return b.stored(value)
    return b.stored(reshaped(b, value, (1,) * (rank - value.rank) + value.shape), order)
