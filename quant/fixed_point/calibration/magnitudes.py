"""A histogram of magnitudes, and the range that 8 bits represent with the least error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fixed_point.network.scales import FULL_SCALE, exponent

_BITS = 4  # of float32's 23 of a fraction
_BINS_AN_OCTAVE = 1 << _BITS
_LEAST, _MOST = -40, 40  # powers of two that the bins span
_BINS = (_MOST - _LEAST) * _BINS_AN_OCTAVE
_OCTAVES, _PARTS = np.divmod(np.arange(_BINS), _BINS_AN_OCTAVE)
_CENTRES = np.ldexp(1 + (_PARTS + 0.5) / _BINS_AN_OCTAVE, _OCTAVES + _LEAST)
_SAMPLED = 4_096  # elements of one tensor that count; every n-th where there are more
_FINER = 3  # how many scales are tried: the one that holds all, and twice, and four times that


class Magnitudes:
    """Counts of |x| in 16 bins an octave: 10 kB however many samples there are.

    A bin is the first bits of a float32: NumPy's logarithm is another on other processors.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(_BINS, np.int64)
        self.total = 0
        self.peak = 0.0

    def add(self, values: NDArray[Any], peak: float | None = None, tensors: int = 1) -> None:
        """values: any shape, finite. peak: the largest magnitude among them, where it is known.

        tensors: how many lie one behind the other; of each, some elements count.
        """
        if peak is None:
            peak = float(np.abs(values).max(initial=0.0))
        self.peak = max(self.peak, peak)
        each = values.reshape(tensors, -1)
        step = max(1, each.shape[1] // _SAMPLED) | 1  # odd, so that no even width is met in step
        taken = np.abs(each[:, ::step]).reshape(-1)
        self.total += taken.size
        bits = taken.astype(np.float32, copy=False).view(np.int32)
        places = bits >> (23 - _BITS)
        places -= (127 + _LEAST) << _BITS
        np.maximum(places, 0, out=places)
        np.minimum(places, _BINS - 1, out=places)
        self.counts += np.bincount(places, minlength=_BINS)
        nonzero = np.count_nonzero(bits if taken.dtype == np.float32 else taken)
        self.counts[0] -= taken.size - nonzero  # where zeros went

    def best_peak(self) -> float:
        """The magnitude to clip at: of a few scales of powers of two, the one of the least error.

        A finer scale halves the step, whose error is step^2 / 12, and clips what lies beyond.
        """
        if not self.peak or self.peak >= 2.0**_MOST:  # the bins end there
            return self.peak
        power = exponent(FULL_SCALE / self.peak)
        errors = {p: self._error(2.0**p) for p in range(power, power + _FINER)}
        best = min(errors, key=lambda p: errors[p])
        return self.peak if best == power else FULL_SCALE / 2.0**best

    def _error(self, scale: float) -> float:
        """Mean square error of int8 codes at a scale."""
        beyond = np.maximum(_CENTRES - FULL_SCALE / scale, 0.0)
        return float((beyond**2 * self.counts).sum()) / max(1, self.total) + 1 / (12 * scale**2)
