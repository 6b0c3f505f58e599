"""What the jobs of qdq are told."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.backends.qdq.recipe.options import Options
from pipelines.stages.samples.jobs.params import DataParams


@dataclass(frozen=True, kw_only=True)
class QdqParams(DataParams):
    """name: the model's. options: of quantize those in OF_QUANTIZE count, of build the others."""

    name: str
    options: Options = field(default_factory=Options)
