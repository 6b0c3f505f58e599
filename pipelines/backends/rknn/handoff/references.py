"""Inputs as a board's program gives them, what the simulator makes of them, and how far to trust.

The tolerance is the simulator's own: every number of every input is moved by at most one step of
that input at random, and the outputs may differ by twice what that moves them. A board's rounding
inside is of that size; a wrong colour order, layout or normalization is far beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.fault import Fault

Array = NDArray[Any]
INTEGERS: dict[str, Any] = {
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
}  # quantized types
WHOLE = {"INT32": np.int32, "INT64": np.int64, "BOOL": np.bool_}  # never quantized
_HALF_STEP = 2.0**-10  # of float16, relative


@dataclass(frozen=True)
class InputWay:
    """How one input is given. row: as handoff.ends has it.

    is_pixels: plain whole numbers of 0..255. std: the one that divides, of the first channel.
    """

    row: Mapping[str, Any]
    is_pixels: bool
    std: float

    @property
    def given(self) -> np.dtype[Any]:
        """The type of the numbers that the program gives."""
        if self.is_pixels:
            return np.dtype(np.uint8)
        return np.dtype(WHOLE.get(self.row["dtype"], np.float32))

    def array(self, sample: Array) -> Array:
        """sample: as the SDK takes it, NCHW. Raises Fault where the board takes another shape."""
        turned = sample.transpose(0, 2, 3, 1) if sample.ndim == 4 else sample
        if list(turned.shape) != list(self.row["shape"]):
            raise Fault(
                f"input `{self.row['name']}` is {list(turned.shape)} in the samples, and the "
                f"compiled network takes {list(self.row['shape'])}",
                "references can't be made for it",
            )
        return np.ascontiguousarray(turned, dtype=self.given)

    def moved(self, sample: Array, random: np.random.Generator) -> Array:
        """The sample, each number moved by at most a step; whole numbers stay."""
        if self.row["dtype"] in WHOLE:
            return sample
        if self.is_pixels:
            by = random.integers(-1, 2, sample.shape)
            return np.asarray(np.clip(sample + by, 0, 255), dtype=sample.dtype)
        step = (self.row["scale"] or _HALF_STEP * float(np.abs(sample).max())) * self.std
        return np.asarray(sample + random.uniform(-step, step, sample.shape), dtype=np.float32)


def is_whole_pixels(samples: Sequence[Array]) -> bool:
    """Whether all numbers are whole and in 0..255."""
    return all(bool(np.all((one >= 0) & (one <= 255) & (one == np.rint(one)))) for one in samples)


def codes(array: Array, row: Mapping[str, Any]) -> Array | None:
    """The simulator's floats as the integers that the file's output has; None for floats."""
    if row["dtype"] not in INTEGERS or row["scale"] is None:
        return None
    limits = np.iinfo(INTEGERS[row["dtype"]])
    found = np.rint(array.astype(np.float64) / row["scale"]) + row["zero_point"]
    return np.asarray(np.clip(found, limits.min, limits.max), dtype=limits.dtype)


def tolerance(pairs: Sequence[tuple[Array, Array]], row: Mapping[str, Any]) -> float:
    """pairs: one output of each sample, plain and moved, as floats.

    In steps for a quantized output, at least 1; else in its own unit, at least two steps of float16
    at its largest number.
    """
    largest = max(float(np.abs(one - other).max(initial=0)) for one, other in pairs)
    if row["dtype"] in INTEGERS and row["scale"] is not None:
        return max(1.0, 2.0 * float(np.rint(largest / row["scale"])))
    peak = max(float(np.abs(one).max(initial=0)) for one, _ in pairs)
    return max(2.0 * largest, 2 * _HALF_STEP * peak)


def write(
    folder: Path, inputs: Sequence[Array], outputs: Sequence[tuple[Array | None, Array]]
) -> None:
    """input_0.npy ...; output_0.npy: integers, where the output has them; output_0_float.npy."""
    folder.mkdir(parents=True)
    for number, array in enumerate(inputs):
        np.save(folder / f"input_{number}.npy", array)
    for number, (integers, floats) in enumerate(outputs):
        if integers is not None:
            np.save(folder / f"output_{number}.npy", integers)
        np.save(folder / f"output_{number}_float.npy", np.ascontiguousarray(floats, np.float32))
