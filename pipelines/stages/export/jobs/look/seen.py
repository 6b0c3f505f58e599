"""What the jobs of `./doit new` tell of a network's file: out/look.json, read by pipelines.new."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipelines.run.jobs.job import Job
from pipelines.stages.export.jobs.params import LookParams
from quant.graph.types import TensorType

FILE = "look.json"


@dataclass
class Look:
    """inputs: name -> {shape: lengths, None where open; null: unknown; dtype}.

    about: what made the file. shape_reasons: input -> where its shape is from, and is_guessed.
    pixels: mean, std (of 0..255), color, resize, as far as the file tells, and reason.
    sides: files beside it that it needs. notes: sentences on what else the file says.
    operators: ONNX's names of those that it has, where the file is ONNX.
    """

    inputs: Mapping[str, Mapping[str, Any]]
    about: str
    shape_reasons: dict[str, dict[str, Any]] = field(default_factory=dict)
    pixels: dict[str, Any] = field(default_factory=dict)
    sides: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    operators: list[str] = field(default_factory=list)

    def save(self, job: Job[LookParams]) -> None:
        (job.out / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n")


def told(type_: TensorType) -> dict[str, Any]:
    """Names of open lengths are nothing to a recipe."""
    shape = type_.shape
    known = None if shape is None else [d if isinstance(d, int) else None for d in shape]
    return {"shape": known, "dtype": type_.dtype}
