"""What a target of rknn says, resolved: plain frozen data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.backends.rknn.file.dtypes import NOT_QUANTIZED
from pipelines.recipe.define.model import Target


@dataclass(frozen=True)
class Quantize:
    """Every option of the SDK's `config`.

    dtype: w8a8, w8a16, w16a16i_dfp, w4a16, float16 (no quantization), or prequantized
    (the source is already quantized: QDQ ONNX, int8 TFLite).
    hybrid: arguments of hybrid_quantization_step1. rknn: options of RKNN.config, by their own
    names.
    """

    dtype: str = "w8a8"
    algorithm: str = "normal"
    method: str = "channel"
    rknn_batch_size: int | None = None
    hybrid: Mapping[str, Any] = field(default_factory=dict)
    rknn: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_done_here(self) -> bool:
        """Whether the SDK quantizes, and so needs calibration data."""
        return self.dtype not in NOT_QUANTIZED


@dataclass(frozen=True)
class Build:
    layers: Mapping[str, str] = field(default_factory=dict)  # tensor -> float16, int16 or int8
    auto_hybrid: bool = False
    cpp_gen_cfg: bool = False


@dataclass(frozen=True)
class Runtime:
    """The vendor's runtime. librknnrt: a copy of it, None for the pinned one."""

    librknnrt: str | None = None


@dataclass(frozen=True)
class RknnOptions:
    """load: `load` (convert or direct), and options of the SDK's load_*, by their own names.

    runtime: None: no step asks it.
    """

    quantize: Quantize = Quantize()
    build: Build = Build()
    load: Mapping[str, Any] = field(default_factory=dict)
    runtime: Runtime | None = None


def options(target: Target) -> RknnOptions:
    """Of a target of this backend."""
    assert isinstance(target.options, RknnOptions), target.name
    return target.options


def varied(target: Target, quantize: Mapping[str, Any], build: Mapping[str, Any]) -> Target:
    """The target with other values of those fields."""
    old = options(target)
    new = dataclasses.replace(
        old,
        quantize=dataclasses.replace(old.quantize, **quantize),
        build=dataclasses.replace(old.build, **build),
    )
    return dataclasses.replace(target, options=new)
