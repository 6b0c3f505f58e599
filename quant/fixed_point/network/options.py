"""How a network is quantized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quant.fault import Fault

if TYPE_CHECKING:
    from fractions import Fraction

BIAS_MODES = ("B8", "B16")
ROUNDINGS = ("compensated", "truncate")
SHIFTS = ("calibrated", "data_free", "constant")
WEIGHTS = ("tensor", "channel")
FINEST = 256  # the largest denominator of an input_scale
WEIGHT_ROUNDINGS = ("auto", "nearest", "gptq")
UNSUPPORTED = ("refuse", "float")
ACTIVATIONS = ("signed", "unsigned")


@dataclass(frozen=True)
class Options:
    """input_scales: the factor on each real input, or one for all: a whole number, or 1/2, 1/4 ...
    1/256 for inputs beyond 127, such as raw pixels.

    bias_mode: B8 shifts, then adds an 8-bit bias; B16 adds a 16-bit bias, then shifts.
    rounding: `compensated` puts half of the last place into the bias, `truncate` does not.
    shifts: `calibrated` and `data_free` take each tensor's scale from its range, `constant` gives
    every tensor the input's scale. weights: what shares an exponent, a tensor or a channel.
    unsupported: what becomes of an operator without an integer form.
    activations: `signed` gives every tensor an int8 and a scale of input_scale times a power of
    two; `unsigned` gives what is never negative the codes 0 to 255, and any tensor the scale that
    uses all of them.
    """

    input_scales: Mapping[str, float] | float
    bias_mode: str = "B16"
    rounding: str = "compensated"
    shifts: str = "calibrated"
    weights: str = "tensor"
    unsupported: str = "refuse"
    activations: str = "signed"

    def __post_init__(self) -> None:
        if self.is_unsigned and self.shifts == "constant":
            raise Fault(
                "unsigned activations choose scales, and constant shifts give all tensors one",
                "use `activations: signed`, or other shifts",
            )

    def input_scale(self, name: str) -> Fraction:
        """The factor of one input. Raises Fault where it has none, or no fit one."""
        if not isinstance(self.input_scales, Mapping):
            scale = self.input_scales
        elif name in self.input_scales:
            scale = self.input_scales[name]
        else:
            raise Fault(f"input `{name}` has no input_scale", f"give one: `{name}: 16`")
        from fractions import Fraction  # a plan, which reads the names above, needs no numbers

        exact = Fraction(scale)
        if exact <= 0 or (exact >= 1 and exact.denominator != 1) or exact.denominator > FINEST:
            raise Fault(
                f"input `{name}` has the input_scale {scale}",
                "use a whole number, or for inputs beyond 127 a power of two below 1: 0.5, 0.25",
            )
        if exact < 1 and exact.numerator != 1:
            raise Fault(f"input_scale {scale} is no power of two", "below 1, use 0.5, 0.25 ...")
        return exact

    @property
    def is_compensated(self) -> bool:
        return self.rounding == "compensated"

    @property
    def is_unsigned(self) -> bool:
        return self.activations == "unsigned"

    @property
    def is_per_channel(self) -> bool:
        return self.weights == "channel"
