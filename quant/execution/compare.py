"""How far the outputs of two graphs are apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from quant.fault import Fault

Array = npt.NDArray[np.generic]


def difference(expected: Array, actual: Array) -> float:
    """How far `actual` is from `expected`.

    Floats: largest absolute difference, relative to the largest magnitude of `expected` (absolute
    where that is 0). NaN and infinities must stand in the same places, else the difference is
    infinite; NaN is returned where `expected` holds nothing finite, so that nothing can be said.
    Integers and booleans: the share of elements that differ, since one class index or another is
    not nearer or farther. Raises ValueError where shape or element type differ.
    """
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        raise ValueError(
            f"{expected.dtype} {list(expected.shape)} became {actual.dtype} {list(actual.shape)}"
        )
    if expected.size == 0:
        return 0.0
    if expected.dtype.kind != "f":
        return float(np.mean(expected != actual))
    return _float_difference(expected.astype(np.float64), actual.astype(np.float64))


def _float_difference(expected: npt.NDArray[np.float64], actual: npt.NDArray[np.float64]) -> float:
    finite = np.isfinite(expected)
    if not np.array_equal(expected[~finite], actual[~finite], equal_nan=True):
        return float("inf")
    if not np.isfinite(actual[finite]).all():
        return float("inf")
    if not finite.any():
        return float("nan")
    largest = float(np.abs(expected[finite]).max())
    apart = float(np.abs(expected[finite] - actual[finite]).max())
    return apart / largest if largest else apart


def differences(
    expected: Iterable[Mapping[str, Array]], actual: Iterable[Mapping[str, Array]]
) -> dict[str, float]:
    """Output name -> largest difference over runs, compared in the order of the runs.

    Raises Fault naming an output whose shape or type differs, or that is never finite: such a
    comparison would say nothing.
    """
    found: dict[str, list[float]] = {}
    for one, other in zip(expected, actual, strict=True):
        for name, array in one.items():
            try:
                found.setdefault(name, []).append(difference(array, other[name]))
            except ValueError as error:
                raise Fault(f"output `{name}`: {error}") from None
    return {name: _largest(name, values) for name, values in found.items()}


def _largest(name: str, values: list[float]) -> float:
    said = [value for value in values if not np.isnan(value)]
    if not said:
        raise Fault(
            f"output `{name}` is NaN or infinite everywhere on every input that was tried",
            "check the weights, and the range of values that the network expects",
        )
    return max(said)


def at_most(value: float) -> float:
    """The bound that reports tell for a difference: 0, 1e-5, 1e-4, 1e-3 ...

    Its digits are those of one processor's kernels: written down, they would make another report of
    the same network on another one. Up to 1e-5 is what rounding alone comes to.
    """
    if value == 0 or not math.isfinite(value):
        return value
    bound = next(power for power in range(-5, 310) if value <= float(f"1e{power}"))
    return float(f"1e{bound}")


def require_close(found: Mapping[str, float], tolerance: float, what: str, advice: str) -> None:
    """Raise Fault naming the worst output where one lies above the tolerance."""
    for name, value in sorted(found.items(), key=lambda item: -item[1]):
        if not value <= tolerance:
            raise Fault(
                f"{what}: output `{name}` differs by {value:.3g} of its largest magnitude, "
                f"more than {tolerance:g}",
                advice,
            )
