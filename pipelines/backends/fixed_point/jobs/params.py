"""What the jobs of fixed_point are told."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.backends.fixed_point.recipe.options import FixedPoint
from pipelines.stages.samples.jobs.params import DataParams
from quant.samples.input import Input


@dataclass(frozen=True, kw_only=True)
class ModelParams(DataParams):
    """name: the model's."""

    name: str


@dataclass(frozen=True, kw_only=True)
class QuantizeParams(ModelParams):
    """See FixedPoint."""

    shifts: str
    equalize: bool
    weight_rounding: str


@dataclass(frozen=True, kw_only=True)
class BuildParams(ModelParams):
    fixed_point: FixedPoint


@dataclass(frozen=True, kw_only=True)
class FileParams:
    """name: the file's stem. file: its name. folder: its own. samples: None for all.

    input_scale: pairs of an input, or None, and a factor. options: but for input_scale. input: what
    holds for every real input.
    """

    name: str
    file: str
    folder: str
    input_scale: tuple[tuple[str | float | None, ...], ...]
    options: FixedPoint
    samples: int | None = None
    input: Input = field(default_factory=Input)
