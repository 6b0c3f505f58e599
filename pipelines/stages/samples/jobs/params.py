"""What the jobs that read a recipe's data are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.recipe.define.model import Evaluate, Samples
from quant.samples.input import Input


@dataclass(frozen=True, kw_only=True)
class DataParams:
    """samples: None where the recipe names no data for this; random: then, how many to make up.

    source_kind: what the network's file is; only `onnx` tells its inputs, for anything else they
    are the recipe's, in its order.
    """

    inputs: Mapping[str, Input] = field(default_factory=dict)
    samples: Samples | None = None
    evaluate: Evaluate | None = None
    source_kind: str = "onnx"
    random: int = 0


@dataclass(frozen=True, kw_only=True)
class CalibrationParams(DataParams):
    """calibration: the data that the network was quantized with, where `samples` are others."""

    calibration: Samples | None = None
