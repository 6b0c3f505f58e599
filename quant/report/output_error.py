"""What a cosine does not see: how far an output is off, its scale, and channels that went constant.

A cosine is blind to a common factor, to small channels beside large ones, and to a single number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from quant.products import product

Array = npt.NDArray[Any]
# Positions that a channel needs in one sample before "constant" says anything.
_POSITIONS = 4


@dataclass
class _Extent:
    """Lowest and highest of each channel so far, [C]; both empty before the first sample."""

    low: Array = field(default_factory=lambda: np.zeros(0))
    high: Array = field(default_factory=lambda: np.zeros(0))

    def add(self, rows: Array) -> None:
        """rows: [C, positions]"""
        low, high = rows.min(axis=1), rows.max(axis=1)
        if self.low.size:
            low, high = np.minimum(self.low, low), np.maximum(self.high, high)
        self.low, self.high = low, high

    @property
    def span(self) -> Array:
        return np.asarray(self.high - self.low)


@dataclass
class OutputError:
    """One output over samples. Arrays that are not finite must not be added."""

    largest: float = 0.0
    values: int = 0  # of one sample
    _whole: _Extent = field(default_factory=_Extent)
    _square: float = 0.0
    _product: float = 0.0
    _channels: dict[int, tuple[_Extent, _Extent]] = field(default_factory=dict)
    _apart: dict[int, Array] = field(default_factory=dict)  # axis -> largest difference, [C]

    def add(self, expected: Array, actual: Array) -> None:
        """One sample of the float network and of the built one, of the same shape."""
        one, other = expected.astype(np.float64), actual.astype(np.float64)
        self.values = one.size
        self.largest = max(self.largest, float(np.abs(one - other).max()))
        self._whole.add(one.reshape(1, -1))
        self._square += product(one.ravel(), one.ravel())
        self._product += product(one.ravel(), other.ravel())
        for axis in {1, one.ndim - 1} if one.ndim > 2 else ():
            if one.size >= _POSITIONS * one.shape[axis]:
                pair = self._channels.setdefault(axis, (_Extent(), _Extent()))
                for extent, array in zip(pair, (one, other), strict=True):
                    extent.add(_by_channel(array, axis))
                apart = _by_channel(np.abs(one - other), axis).max(axis=1)
                self._apart[axis] = np.maximum(self._apart.get(axis, apart), apart)

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest value of the float output."""
        return float(self._whole.low[0]), float(self._whole.high[0])

    @property
    def relative(self) -> float | None:
        """Largest difference by the float output's range, by its magnitude where it is constant.

        None where that is 0 and the built network's is not.
        """
        low, high = self.range
        span = high - low or max(abs(low), abs(high))
        return self.largest / span if span else 0.0 if not self.largest else None

    @property
    def scale(self) -> float | None:
        """The factor that takes the float output nearest to the built one's; None for zeros."""
        return self._product / self._square if self._square else None

    @property
    def constant(self) -> tuple[int, int, int]:
        """(axis, channels that vary in float and not in the built network, all channels)

        Of the axis that has most of them; axis 1 where there are none.
        """
        found = [(1, 0, 0)]
        for axis, (expected, actual) in self._channels.items():
            lost = (actual.span == 0) & (expected.span > 1e-6 * np.abs(expected.high).clip(1e-12))
            found.append((axis, int(lost.sum()), lost.size))
        return max(found, key=lambda one: (one[1], one[2]))

    @property
    def by_channel(self) -> dict[str, Any] | None:
        """Largest difference of each channel by its own float range: worst, and mean of at most 1.

        Channels are axis 1 of four, of three the shorter. Those that are one number in float are
        left out. None without channels.
        """
        axes = [axis for axis in self._apart if axis == 1 or 1 not in self._channels]
        if 2 in self._apart:  # [1, boxes, 4] and [1, 84, boxes]
            axes = [min(self._apart, key=lambda axis: self._apart[axis].size)]
        if not axes:
            return None
        span = self._channels[axes[0]][0].span
        varies = span > 0
        if not varies.any():
            return None
        shares = self._apart[axes[0]][varies] / span[varies]
        mean = float(np.minimum(shares, 1).mean())
        return {"axis": axes[0], "worst": float(shares.max()), "mean": mean}

    def summary(self) -> dict[str, Any]:
        """As metrics.json holds it."""
        axis, lost, count = self.constant
        return {
            "values": self.values,
            "range": dict(zip(("low", "high"), self.range, strict=True)),
            # Not `error`: `dvc metrics show` then says that it failed to load the file (3.67.1).
            "relative_error": _finite(self.relative),
            "scale": _finite(self.scale),
            "constant_channels": {"axis": axis, "count": lost, "of": count},
            "channel_error": self.by_channel,
        }


# The same keys for an output that is not finite, so that readers need not ask.
NOT_FINITE: dict[str, Any] = {
    "values": None,
    "range": None,
    "relative_error": None,
    "scale": None,
    "constant_channels": None,
    "channel_error": None,
}


def by_channel(outputs: Mapping[str, Any]) -> float | None:
    """The worst output's: mean of its channels' largest errors, each by the channel's own range.

    So that boxes in pixels do not hide scores. By the output's range where it has no channels.
    outputs: name -> `summary`. None where one is not finite.
    """
    errors = [
        one["channel_error"]["mean"] if one["channel_error"] else one["relative_error"]
        for one in outputs.values()
    ]
    return max(errors) if errors and None not in errors else None


def _by_channel(array: Array, axis: int) -> Array:
    """[C, positions]"""
    return np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
