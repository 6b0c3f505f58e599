"""What a target of fixed_point says, resolved: plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.recipe.define.model import Target


@dataclass(frozen=True)
class FixedPoint:
    """How the backend quantizes; one point of a sweep."""

    input_scale: float | Mapping[str, float]  # whole from 1 on
    bias_mode: str = "B16"
    rounding: str = "compensated"
    shifts: str = "calibrated"
    weights: str = "tensor"
    weight_rounding: str = "auto"
    equalize: bool = True
    unsupported: str = "refuse"
    activations: str = "signed"


def options(target: Target) -> FixedPoint:
    """Of a target of this backend."""
    assert isinstance(target.options, FixedPoint), target.name
    return target.options
