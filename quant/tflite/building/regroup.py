"""Reshape without a transposition where the stored order allows it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from quant.tflite.building.builder import Builder
from quant.tflite.building.layout import Order, arrange, plain
from quant.tflite.building.value import Value

Group = tuple[tuple[int, ...], tuple[int, ...]]  # axes before, axes after, of equal length


def groups_of(before: Sequence[int], after: Sequence[int]) -> list[Group]:
    """Split a reshape into the smallest runs of axes that hold the same number of elements.

    Axes of length 1 belong to no run.
    """
    left = [axis for axis, n in enumerate(before) if n != 1]
    right = [axis for axis, n in enumerate(after) if n != 1]
    groups: list[Group] = []
    while left:
        taken, given = [left.pop(0)], [right.pop(0)]
        while (a := prod(before[i] for i in taken)) != (c := prod(after[i] for i in given)):
            if a < c:
                taken.append(left.pop(0))
            else:
                given.append(right.pop(0))
        groups.append((tuple(taken), tuple(given)))
    return groups


def order_after(order: Order, before: Sequence[int], after: Sequence[int]) -> Order | None:
    """The order of a reshaped tensor whose bytes stay where they are, or None if they can't."""
    stored = [axis for axis in order if before[axis] != 1]
    result: list[int] = []
    groups = {group[0][0]: group for group in groups_of(before, after)}
    while stored:
        taken, given = groups.get(stored[0], ((), ()))
        if not taken or tuple(stored[: len(taken)]) != taken:
            return None
        result += given
        stored = stored[len(taken) :]
    for axis in sorted(set(plain(len(after))) - set(result)):
        result.insert(result.index(axis - 1) + 1 if axis else 0, axis)
    return tuple(result)


def regroup(b: Builder, value: Value, shape: tuple[int, ...]) -> Value:
    """A computed value in another shape with as many elements, transposed only if it must be."""
    if shape == value.shape:
        return value
    order = order_after(value.order, value.shape, shape)
    if order is None:
        name = b.stored(value, plain(value.rank))
        order, have = plain(len(shape)), value.shape
    else:
        name, have = b.stored(value), value.stored_shape
    return Value(b.reshape(name, have, arrange(shape, order)), shape, order, value.dtype)


def reshaped(b: Builder, value: Value, shape: tuple[int, ...]) -> Value:
    """A value in another shape, whether constant or computed."""
    if value.array is None:
        return regroup(b, value, shape)
    array = value.array.reshape(shape)
    return Value(value.name, shape, plain(len(shape)), value.dtype, array)
