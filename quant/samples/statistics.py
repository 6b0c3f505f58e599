"""What samples hold, and whether it goes with the mean and std of their input.

statistics of an input, as samples.json has them:
    low, high     of all samples
    is_whole      whether all values are whole numbers
    constant      samples that are one number throughout
    distinct      how many different samples there are
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fault import Fault
from quant.samples.images import pixel_units
from quant.samples.input_form import InputForm


class Statistics:
    """Of one input, sample by sample."""

    def __init__(self) -> None:
        self.low: float | None = None
        self.high: float | None = None
        self.is_whole = True
        self.constant: list[int] = []
        self._digests: set[bytes] = set()

    def add(self, index: int, array: NDArray[Any]) -> None:
        """Sample number `index`, finite."""
        if not array.size:
            return
        low, high = float(array.min()), float(array.max())
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)
        if array.dtype.kind == "f" and self.is_whole:
            self.is_whole = bool((np.rint(array) == array).all())
        if low == high and array.size > 1:
            self.constant.append(index)
        self._digests.add(hashlib.sha256(array.tobytes()).digest())

    def told(self) -> dict[str, Any]:
        return {
            "low": self.low,
            "high": self.high,
            "is_whole": self.is_whole,
            "constant": self.constant,
            "distinct": len(self._digests),
        }

    @property
    def magnitude(self) -> float:
        return max(abs(self.low or 0.0), abs(self.high or 0.0))


def require_units(form: InputForm, found: Statistics) -> None:
    """Raises Fault where mean and std are for data in 0 to 1, and the samples are pixels."""
    if found.low is None or found.high is None or not pixel_units.is_in_ones(form.mean, form.std):
        return
    most = 2**form.bits - 1
    if found.low >= 0 and pixel_units.PIXELS < found.high <= most:
        meant = pixel_units.in_pixel_units(form.mean, form.std, most)
        raise Fault(
            f"input `{form.name}`: its mean and std are for data in 0 to 1, and the samples go "
            f"from {found.low:g} to {found.high:g}",
            f"in pixel units? write `{meant}`; where they are meant as they stand, divide the data "
            "and delete mean and std",
        )


def warnings(form: InputForm, found: Statistics) -> Iterator[str]:
    if found.magnitude <= pixel_units.NORMALIZED and pixel_units.is_in_pixels(form.mean, form.std):
        yield (
            f"the samples of input `{form.name}` lie within -{found.magnitude:g} and "
            f"{found.magnitude:g}, but its mean and std are in pixel units: if the data is "
            "normalised already, delete mean and std, since the SDK applies them to npy files too"
        )
