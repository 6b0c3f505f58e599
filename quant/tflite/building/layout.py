"""In which order a tensor's axes are stored.

TFLite counts axes one way (N, H, W, C); the ONNX graph may store them another way. An order
says which: stored axis i holds the TFLite axis order[i].
"""

from __future__ import annotations

from collections.abc import Sequence

Order = tuple[int, ...]

CHANNELS_FIRST: Order = (0, 3, 1, 2)
CHANNELS_LAST: Order = (0, 1, 2, 3)


def plain(rank: int) -> Order:
    """Stored as TFLite counts."""
    return tuple(range(rank))


def arrange(shape: Sequence[int], order: Order) -> tuple[int, ...]:
    """The stored shape of a tensor whose TFLite shape is `shape`."""
    return tuple(shape[axis] for axis in order)


def inverse(order: Order) -> Order:
    """The axes that take a stored tensor back to TFLite's own order."""
    return tuple(order.index(axis) for axis in range(len(order)))


def route(have: Order, want: Order) -> Order:
    """The `perm` of a Transpose from one order to another."""
    return tuple(have.index(axis) for axis in want)


def keeps_bytes(shape: Sequence[int], perm: Order) -> bool:
    """Whether a Transpose of `shape` by `perm` moves only axes of length 1."""
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved)


def without(order: Order, axes: Sequence[int]) -> Order:
    """The order that is left when TFLite axes are removed, renumbered."""
    kept = sorted(set(order) - set(axes))
    return tuple(kept.index(axis) for axis in order if axis not in axes)
