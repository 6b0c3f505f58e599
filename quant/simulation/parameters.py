"""How each tensor is held: step 1's NAME.quantization.cfg."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from quant.simulation.parameters_text import sections
from quant.simulation.unknown import Unknown

Array = npt.NDArray[Any]
INTEGERS = {"int8": (-128, 127), "int16": (-32768, 32767)}
_FLOATS = ("float32", "float16", "int32", "int64", "bool")


@dataclass(frozen=True)
class Parameters:
    """dtype: int8 and int16 with scale and zero point; float16; others are held as they are.

    scale: float64, as the SDK computes bias steps with it. low, high: the range it was made from.
    seen: the range that calibration saw.
    """

    dtype: str
    scale: float = 1.0
    zero_point: int = 0
    low: float = 0.0
    high: float = 0.0
    seen: tuple[float, float] = field(default=(0.0, 0.0), compare=False)

    @property
    def is_narrowed(self) -> bool:
        """Whether calibration saw values beyond the range."""
        return self.seen[0] < self.low or self.seen[1] > self.high

    @property
    def is_integer(self) -> bool:
        return self.dtype in INTEGERS

    def rounded(self, values: Array) -> Array:
        """float32 values on this tensor's grid: clip(rint(x / s) + z) - z, times s."""
        if self.dtype == "float16":
            return values.astype(np.float16).astype(np.float32)
        if not self.is_integer:
            return values
        scale = np.float32(self.scale)
        codes = np.clip(np.rint(values / scale) + self.zero_point, *INTEGERS[self.dtype])
        return np.asarray((codes - self.zero_point).astype(np.float32) * scale)

    def symmetric(self) -> Parameters:
        """int8 with zero point 0 over the same range."""
        largest = max(abs(self.low), abs(self.high))
        return Parameters("int8", largest / 127, 0, self.low, self.high)


def read(text: str) -> dict[str, Parameters]:
    """Tensor name -> Parameters of a *.quantization.cfg. Raises Unknown."""
    return dict(_read(text))


@lru_cache(maxsize=1)  # analyze reads it for the simulation, and for the causes
def _read(text: str) -> dict[str, Parameters]:
    return {name: _parameters(name, fields) for name, fields in sections(text).items()}


def _parameters(name: str, fields: Mapping[str, Any]) -> Parameters:
    dtype = fields["dtype"]
    if dtype in _FLOATS:
        return Parameters(dtype)
    if dtype not in INTEGERS:
        raise Unknown(f"`{name}` is {dtype}")
    if len(fields["scale"]) != 1:
        raise Unknown(f"`{name}` has {len(fields['scale'])} scales")
    return Parameters(
        dtype,
        float(fields["scale"][0]),
        int(fields["zero_point"][0]),
        float(fields["min"][0]),
        float(fields["max"][0]),
        (float(fields["ori_min"][0]), float(fields["ori_max"][0])),
    )
