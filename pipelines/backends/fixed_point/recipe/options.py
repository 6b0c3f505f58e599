"""What a target of fixed_point says, resolved: plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

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

    @property
    def told(self) -> dict[str, Any]:
        """As build.json has them: as ever where the newer ones have their defaults."""
        all_ = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: all_[key] for key in all_ if (key, all_[key]) != ("activations", "signed")}


def options(target: Target) -> FixedPoint:
    """Of a target of this backend."""
    assert isinstance(target.options, FixedPoint), target.name
    return target.options
