"""How a network is quantized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quant.fault import Fault

BIAS_MODES = ("B8", "B16")
ROUNDINGS = ("compensated", "truncate")
SHIFTS = ("calibrated", "data_free", "constant")
WEIGHTS = ("tensor", "channel")
UNSUPPORTED = ("refuse", "float")


@dataclass(frozen=True)
class Options:
    """input_scales: the factor on each real input, or one for all: a whole number >= 1.

    bias_mode: B8 shifts, then adds an 8-bit bias; B16 adds a 16-bit bias, then shifts.
    rounding: `compensated` puts half of the last place into the bias, `truncate` does not.
    shifts: `calibrated` and `data_free` take each tensor's scale from its range, `constant` gives
    every tensor the input's scale. weights: what shares an exponent, a tensor or a channel.
    unsupported: what becomes of an operator without an integer form.
    """

    input_scales: Mapping[str, int] | int
    bias_mode: str = "B16"
    rounding: str = "compensated"
    shifts: str = "calibrated"
    weights: str = "tensor"
    unsupported: str = "refuse"

    def input_scale(self, name: str) -> int:
        """The factor of one input. Raises Fault where it has none."""
        if isinstance(self.input_scales, int):
            return self.input_scales
        if name not in self.input_scales:
            raise Fault(f"input `{name}` has no input_scale", f"give one: `{name}: 16`")
        return self.input_scales[name]

    @property
    def is_compensated(self) -> bool:
        return self.rounding == "compensated"

    @property
    def is_per_channel(self) -> bool:
        return self.weights == "channel"
