"""What the jobs of rknn are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.backends.rknn.recipe.options import Build, Quantize
from pipelines.stages.samples.jobs.params import CalibrationParams


@dataclass(frozen=True, kw_only=True)
class RknnParams(CalibrationParams):
    """target: its name. rknn: `load`, and options of the SDK's load_*, by their own names.

    calibration: for a network that one call quantizes, where its data are not `samples`.
    """

    target: str
    platform: str
    quantize: Quantize = field(default_factory=Quantize)
    build: Build = field(default_factory=Build)
    rknn: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AnalyzeParams(RknnParams):
    """sdk_analysis: the SDK's own in any case."""

    sdk_analysis: bool = False


@dataclass(frozen=True, kw_only=True)
class BoardParams(RknnParams):
    """device: the board's serial number or address, as adb names it."""

    device: str = ""


@dataclass(frozen=True, kw_only=True)
class TuneParams(RknnParams):
    """by: `error` (largest of an output, by its range) or `cosine` (lowest of an output)."""

    by: str


@dataclass(frozen=True, kw_only=True)
class ForetellParams(RknnParams):
    """is_searched: also sets of float16 layers."""

    is_searched: bool = False
