"""Float weights and biases as int8 weights, shifts and whole biases."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fixed_point.bounds import Bounds
from quant.fixed_point.gptq import round_weights
from quant.fixed_point.network import EXACT_LIMIT, INT8_HIGH, INT8_LOW, Integers, Rescale
from quant.fixed_point.options import Options
from quant.fixed_point.scales import FULL_SCALE, exponent, power_of_two, times_power
from quant.fixed_point.taps import Taps

Float64 = NDArray[np.float64]

# A shift beyond this leaves no room for half of the last place in a 16-bit bias (AMD's DPU and
# CMSIS-NN shift by no more either).
MOST_SHIFT = 15
INT16_LOW, INT16_HIGH = -(2**15), 2**15 - 1
LEAST_SPLIT_SHIFT = 4  # what (16A + B) >> n = (A + (B >> 4)) >> (n - 4) needs


@dataclass(frozen=True)
class Read:
    """What a layer reads, [channels, taps]. mean: what x holds at each tap on average; drift: what
    it is off by, both in reals; None where not known. taps: None to round weights to nearest.
    """

    mean: Float64 | None = None
    drift: Float64 | None = None
    taps: Taps | None = None


@dataclass(frozen=True)
class Weighted:
    """weight: codes [channels, taps]. shift, bias, bias_after: [channels] (None: not there).

    scale: of the result. notes: what was lost, sentences without a subject.
    """

    weight: Integers
    shift: Integers
    bias: Integers | None
    bias_after: Integers | None
    scale: Fraction
    notes: tuple[str, ...]

    def rescale(self, shape: tuple[int, ...], bounds: Bounds) -> Rescale:
        """shape: what [channels] becomes, so that it broadcasts to the result."""
        low, high = bounds.codes(self.scale)
        return Rescale(
            shift=_compact(self.shift, shape),
            low=low,
            high=high,
            bias=_shaped(self.bias, shape),
            bias_after=_shaped(self.bias_after, shape),
        )


def _compact(shift: Integers, shape: tuple[int, ...]) -> Integers:
    return shift[0].reshape(()) if (shift == shift[0]).all() else shift.reshape(shape)


def _shaped(bias: Integers | None, shape: tuple[int, ...]) -> Integers | None:
    return None if bias is None or not bias.any() else bias.reshape(shape)


def quantize_weights(
    weight: NDArray[Any],
    bias: NDArray[Any] | None,
    x_scale: Fraction,
    x_peak: int,
    wanted: Fraction,
    options: Options,
    read: Read = Read(),
) -> Weighted:
    """Codes for y = weight @ x + bias at a scale of y as near below `wanted` as possible.

    weight: [channels, taps]. bias: [channels]. x_peak: the largest |code| of x. wanted: x_scale
    times a power of two. Weights that would overflow a 16-bit bias, or float32's whole numbers,
    are made coarser. What rounding the weights adds to a sum on average, and what x is off by, is
    taken off the bias (Nagel et al., 2019, arXiv:1906.04721, section 4.2).
    """
    weight = weight.astype(np.float64)
    given = np.zeros(len(weight)) if bias is None else bias.astype(np.float64)
    powers = _powers(weight, options.is_per_channel)
    scale = min(wanted, times_power(x_scale, int(powers.min())))
    if options.bias_mode == "B8" and options.shifts != "constant":
        scale = _holding(scale, float(np.abs(given).max(initial=0.0)))
    least = -_exact_power(x_scale / scale)  # the power at which the shift is 0
    powers = np.minimum(powers, least + MOST_SHIFT)
    while True:
        codes = _rounded(weight, powers, read.taps)
        shift = powers - least
        corrected = given + _correction(weight, codes / np.exp2(powers)[:, None], read)
        before, after = _biases(corrected, shift, powers, x_scale, scale, options)
        full = _too_large(codes, before, shift, x_peak) & (shift > 0)
        if not full.any():
            break
        powers = powers - (full if options.is_per_channel else np.ones_like(full))
    is_late = options.bias_mode == "B8"
    return Weighted(
        codes,
        shift,
        None if is_late else _sat(before, INT16_LOW, INT16_HIGH),
        _sat(after, INT8_LOW, INT8_HIGH) if is_late else None,
        scale,
        _losses(before, after),
    )


def _rounded(weight: Float64, powers: Integers, taps: Taps | None) -> Integers:
    if taps is not None:
        return round_weights(weight, powers, taps)
    return _sat(np.rint(weight * np.exp2(powers)[:, None]), INT8_LOW, INT8_HIGH)


def _correction(weight: Float64, held: Float64, read: Read) -> Float64 | float:
    """What to add to the bias. held: the reals that the codes stand for."""
    correction: Float64 | float = 0.0
    if read.mean is not None:
        correction += ((weight - held) * read.mean).sum(axis=1)
    if read.drift is not None:
        correction -= (held * read.drift).sum(axis=1)
    return correction


def _powers(weight: Float64, is_per_channel: bool) -> Integers:
    """f of each channel: the largest at which its weights fit into int8."""
    peaks = np.abs(weight).max(axis=1)
    whole = float(peaks.max(initial=0.0))
    common = exponent(FULL_SCALE / whole) if whole else 0
    if not is_per_channel:
        return np.full(len(weight), common, np.int64)
    own = [exponent(FULL_SCALE / float(peak)) if peak else common for peak in peaks]
    return np.array(own, np.int64)


def _holding(scale: Fraction, peak: float) -> Fraction:
    """The scale, halved until an 8-bit bias of `peak` fits."""
    while peak * float(scale) > FULL_SCALE:
        scale /= 2
    return scale


def _exact_power(ratio: Fraction) -> int:
    power = power_of_two(ratio)
    if power is None:
        raise ValueError(f"{ratio} is no power of two")
    return power


def _biases(
    bias: Float64,
    shift: Integers,
    powers: Integers,
    x_scale: Fraction,
    scale: Fraction,
    options: Options,
) -> tuple[Float64, Float64]:
    """The bias before the shift and the one after it, not yet saturated; one of them is zero."""
    nothing = np.zeros_like(bias)
    if options.bias_mode == "B8":
        half = (1 - np.exp2(-shift)) / 2 if options.is_compensated else 0.0
        return nothing, np.rint(bias * float(scale) + half)
    half = np.where(shift > 0, np.exp2(shift - 1.0), 0) if options.is_compensated else 0.0
    return np.rint(bias * float(x_scale) * np.exp2(powers) + half), nothing


def _too_large(codes: Integers, bias: Float64, shift: Integers, x_peak: int) -> NDArray[np.bool_]:
    """Channels whose bias leaves 16 bits, or whose sums leave float32's whole numbers."""
    limit = EXACT_LIMIT - np.abs(bias)
    fits = np.abs(codes).sum(axis=1) * x_peak < limit
    if (shift >= LEAST_SPLIT_SHIFT).all():  # then the layer can be written as two, w = 16A + B
        low = (codes & 15).sum(axis=1) * x_peak
        high = np.abs(codes >> 4).sum(axis=1) * x_peak + (low + np.abs(bias)) / 16
        fits |= (low < limit) & (high + 1 < EXACT_LIMIT)
    result: NDArray[np.bool_] = (bias < INT16_LOW) | (bias > INT16_HIGH) | ~fits
    return result


def _losses(before: Float64, after: Float64) -> tuple[str, ...]:
    wide = int(((before < INT16_LOW) | (before > INT16_HIGH)).sum())
    narrow = int(((after < INT8_LOW) | (after > INT8_HIGH)).sum())
    said = [f"{wide} of {len(before)} biases do not fit into 16 bits and were cut"] if wide else []
    if narrow:
        said.append(f"{narrow} of {len(after)} biases do not fit into 8 bits and were cut")
    return tuple(said)


def _sat(values: Float64, low: int, high: int) -> Integers:
    return np.clip(values, low, high).astype(np.int64)
