"""What the job of simplify is told."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.recipe.define.model import Simplify
from pipelines.stages.samples.jobs.params import DataParams


@dataclass(frozen=True, kw_only=True)
class SimplifyParams(DataParams):
    simplify: Simplify
