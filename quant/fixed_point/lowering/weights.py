"""Float weights and biases as int8 weights, shifts and whole biases."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fixed_point.calibration.taps import Taps
from quant.fixed_point.lowering.bounds import Bounds
from quant.fixed_point.lowering.gptq import round_weights
from quant.fixed_point.network.network import (
    EXACT_LIMIT,
    INT8_HIGH,
    INT8_LOW,
    Integers,
    Rescale,
    Tensor,
)
from quant.fixed_point.network.options import Options
from quant.fixed_point.network.scales import (
    FULL_SCALE,
    exponent,
    just_below,
    power_of_two,
    times_power,
)

Float64 = NDArray[np.float64]

# A shift beyond this leaves no room for half of the last place in a 16-bit bias (AMD's DPU and
# CMSIS-NN shift by no more either).
MOST_SHIFT = 15
INT16_LOW, INT16_HIGH = -(2**15), 2**15 - 1
_SLACK = 1e-3  # in powers of two; what it lets beyond 127 rounds to 127
# Of a scale, where weights share one. Beyond it, a result of fewer steps loses less: measured on
# MobileNetV1, whose activations' rounding costs about 1.6 times what the weights' does.
_MOST_UNUSED = 1.7
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

    def rescale(self, shape: tuple[int, ...], bounds: Bounds, limits: tuple[int, int]) -> Rescale:
        """shape: what [channels] becomes, so that it broadcasts to the result."""
        low, high = bounds.codes(self.scale, limits)
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
    x: Tensor,
    wanted: Fraction,
    options: Options,
    read: Read = Read(),
) -> Weighted:
    """Codes for y = weight @ x + bias at a scale of y as near below `wanted` as possible.

    weight: [channels, taps]. bias: [channels]. x: of reals. wanted: x's scale times a power of
    two, or any with unsigned activations. Weights that would overflow a 16-bit bias, or float32's
    whole numbers, are made coarser. What rounding the weights adds to a sum on average, and what x
    is off by, is taken off the bias (Nagel et al., 2019, arXiv:1906.04721, section 4.2).
    """
    weight = weight.astype(np.float64)
    given = np.zeros(len(weight)) if bias is None else bias.astype(np.float64)
    assert x.scale is not None
    plan = _whole_range if options.is_unsigned else _powers_of_two
    scale, shift = plan(weight, given, x.scale, wanted, options)
    shift = np.minimum(shift, MOST_SHIFT)
    while True:
        units = float(scale / x.scale) * np.exp2(shift)
        codes = _rounded(weight, units, read.taps)
        corrected = given + _correction(weight, codes / units[:, None], read)
        before, after = _biases(corrected, shift, units, x.scale, scale, options)
        full = _too_large(codes, before, shift, x) & (shift > 0)
        if not full.any():
            break
        shift = shift - (full if options.is_per_channel else np.ones_like(full))
    is_late = options.bias_mode == "B8"
    return Weighted(
        codes,
        shift,
        None if is_late else _sat(before, INT16_LOW, INT16_HIGH),
        _sat(after, INT8_LOW, INT8_HIGH) if is_late else None,
        scale,
        _losses(before, after),
    )


def _powers_of_two(
    weight: Float64, bias: Float64, x_scale: Fraction, wanted: Fraction, options: Options
) -> tuple[Fraction, Integers]:
    """The result's scale, and each channel's shift, where weights are times a power of two."""
    powers = _powers(weight, options.is_per_channel)
    scale = min(wanted, times_power(x_scale, int(powers.min())))
    if options.bias_mode == "B8" and options.shifts != "constant":
        scale = _holding(scale, float(np.abs(bias).max(initial=0.0)))
    return scale, powers + _exact_power(x_scale / scale)


def _whole_range(
    weight: Float64, bias: Float64, x_scale: Fraction, wanted: Fraction, options: Options
) -> tuple[Fraction, Integers]:
    """The same where weights are times any number: the scales' ratio times a power of two.

    Weights that share it may be up to half as fine as they could be; where they would be much
    less than that, the result is made coarser, by less, until they use all of int8.
    """
    peaks = np.abs(weight).max(axis=1)
    whole = float(peaks.max(initial=0.0))
    own = (
        np.where(peaks > 0, peaks, whole) if options.is_per_channel else np.full(len(peaks), whole)
    )
    finest = float(x_scale) * INT8_HIGH / whole if whole else float(wanted)
    scale = min(wanted, just_below(finest))
    if options.bias_mode == "B8" and np.abs(bias).max(initial=0.0) > 0:
        scale = min(scale, just_below(INT8_HIGH / float(np.abs(bias).max())))
    if not whole:
        return scale, np.zeros(len(weight), np.int64)
    room = np.log2(float(x_scale / scale) * INT8_HIGH / own)  # what a shift may be, at least 0
    shift = np.floor(room + _SLACK).astype(np.int64)
    unused = float(2.0 ** (room[0] - shift[0]))
    if not options.is_per_channel and unused > _MOST_UNUSED:
        scale = just_below(float(scale) * unused / 2)
        shift = shift + 1
    return scale, np.maximum(shift, 0)


def _rounded(weight: Float64, units: Float64, taps: Taps | None) -> Integers:
    if taps is not None:
        return round_weights(weight, units, taps)
    return _sat(np.rint(weight * units[:, None]), INT8_LOW, INT8_HIGH)


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
    units: Float64,
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
    return np.rint(bias * float(x_scale) * units + half), nothing


def _too_large(codes: Integers, bias: Float64, shift: Integers, x: Tensor) -> NDArray[np.bool_]:
    """Channels whose bias leaves 16 bits, or whose sums leave float32's whole numbers."""
    limit, x_peak = EXACT_LIMIT - np.abs(bias), max(-x.low, x.high)
    sums = np.abs(codes).sum(axis=1)
    if x.limits[0] == 0:  # see guard
        sums = np.maximum(*(np.maximum(side, 0).sum(axis=1) for side in (codes, -codes)))
    fits = sums * x_peak < limit
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
