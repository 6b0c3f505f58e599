"""Scales: a whole factor times a power of two, kept exactly as fractions."""

from __future__ import annotations

import math
from fractions import Fraction

# An int8 code reaches 127, and what rounds to it 127.5.
FULL_SCALE = 127.5
_BITS = 12  # of a scale that is no power of two; small enough for exact products in float32


def just_below(limit: float) -> Fraction:
    """The largest whole number of 12 bits times a power of two that is no more. limit: positive."""
    mantissa, power = math.frexp(limit)
    return times_power(Fraction(int(mantissa * 2**_BITS)), power - _BITS)


def power_of_two(ratio: Fraction) -> int | None:
    """e where ratio is 2^e; None where it is no power of two."""
    if ratio <= 0 or odd_part(ratio) != 1:
        return None
    return ratio.numerator.bit_length() - ratio.denominator.bit_length()


def odd_part(scale: Fraction) -> Fraction:
    """What is left of a scale without its powers of two: 5 of 20, 1 of 16."""
    return Fraction(_odd(scale.numerator), _odd(scale.denominator))


def _odd(number: int) -> int:
    return number // (number & -number)


def exponent(limit: float) -> int:
    """The largest e with 2^e <= limit. limit: positive."""
    return math.frexp(limit)[1] - 1


def times_power(factor: Fraction, power: int) -> Fraction:
    """factor * 2^power."""
    return factor * (Fraction(2) ** power)


def fitting(factor: Fraction, peak: float) -> Fraction:
    """The largest factor * 2^e at which `peak` still fits into int8. peak: positive."""
    return times_power(factor, exponent(FULL_SCALE / peak / float(factor)))
