"""A way to compute some layers in float16: layers by name, or the SDK's own choice."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pipelines.backends.rknn.recipe.options import varied
from pipelines.doctor.remedy import Remedy
from pipelines.recipe.define.model import Recipe, Target

AUTO, PROPOSAL = "auto_hybrid", "proposal"


@dataclass(frozen=True)
class Variant(Remedy):
    """vendor: AUTO or PROPOSAL, the SDK's own choices. label: what tells it from others."""

    label: str = ""
    vendor: str = ""

    @property
    def name(self) -> str:
        return self.label

    def key(self, target: Target) -> str:
        text = json.dumps([target.name, dict(self.layers), self.vendor], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def varied(self, target: Target) -> Target:
        hybrid = {"hybrid": {PROPOSAL: True}} if self.vendor == PROPOSAL else {}
        build = {"layers": self.layers, "auto_hybrid": self.vendor == AUTO}
        return varied(target, quantize=hybrid, build=build)

    def changes(self, recipe: Recipe, target: Target) -> list[tuple[tuple[str, ...], Any]]:
        place = ("targets", target.name)
        if self.vendor == PROPOSAL:
            return [((*place, "quantize", "hybrid"), {PROPOSAL: True})]
        if self.vendor == AUTO:
            return [((*place, "build", AUTO), True)]
        return [((*place, "build", "layers"), dict(self.layers))] if self.layers else []
