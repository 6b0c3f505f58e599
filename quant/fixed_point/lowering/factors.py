"""Whole factors and a shift for ratios of scales that are no powers of two."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from quant.fixed_point.network.network import EXACT_LIMIT

_MOST_SHIFT = 22  # half of the last place is a bias that must stay far below 2^24
_MOST_BITS = 14  # of a factor: 2^-15 of 255 codes is no hundredth of a code


def common_factors(ratios: Sequence[Fraction], peaks: Sequence[int]) -> tuple[list[int], int]:
    """Factors and n with factor / 2^n near each ratio, as near as float32's whole numbers allow.

    ratios: 0 < ratio. peaks: the largest |number| that each factor multiplies; those products, all
    together with half of the last place, stay below 2^24. Factors are 1 or more.
    """
    shift = _MOST_SHIFT
    while shift > 0 and not _fits(_factors(ratios, shift), peaks, shift):
        shift -= 1
    factors = _factors(ratios, shift)
    while shift > 0 and all(factor % 2 == 0 for factor in factors):
        factors, shift = [factor // 2 for factor in factors], shift - 1
    return factors, shift


def _factors(ratios: Sequence[Fraction], shift: int) -> list[int]:
    return [max(1, round(ratio * 2**shift)) for ratio in ratios]


def _fits(factors: Sequence[int], peaks: Sequence[int], shift: int) -> bool:
    whole = sum(factor * peak for factor, peak in zip(factors, peaks, strict=True))
    return max(factors) < 1 << _MOST_BITS and whole + (1 << shift) < EXACT_LIMIT
