"""Building and measuring variants of one target, all kept in the cache: a killed run goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.backends.table import BACKENDS, trials_of
from pipelines.building.builder import Builder, Outcome
from pipelines.doctor import trial
from pipelines.doctor.tune.variant import PROPOSAL, Variant
from pipelines.files import console
from pipelines.recipe.define.model import Recipe, Target
from pipelines.record.step import Step
from pipelines.run.worker import Failed
from pipelines.stages.stage import built, completed
from quant.report import target_metrics

_SHARED = ("export/", "simplify/")


@dataclass(frozen=True)
class Measured:
    """A variant's figures in the SDK's simulator and compiler.

    simulated: the error that our simulation foretold; None where it was not asked. figures: as
    metrics.json has them. failure: why there are none.
    """

    variant: Variant
    figures: Mapping[str, Any]
    simulated: float | None = None
    failure: str = ""

    @property
    def cycles(self) -> int | None:
        value: int | None = self.figures["cycles"]
        return value

    @property
    def error(self) -> float | None:
        value: float | None = self.figures["worst_output_error"]
        return value

    @property
    def cosine(self) -> float | None:
        value: float | None = self.figures["worst_output_cosine"]
        return value

    @property
    def drop_points(self) -> float | None:
        """By how many points the accuracy is below the float network's."""
        accuracy = self.figures["accuracy"]
        return 100 * (accuracy["float"] - accuracy["simulator"]) if accuracy else None

    @property
    def metrics(self) -> dict[str, float]:
        """Of the recipe's own function, in the simulator."""
        measured = self.figures.get("evaluation") or {"metrics": {}}
        return {name: found["simulator"] for name, found in measured["metrics"].items()}


@dataclass(frozen=True)
class Experiment:
    root: Path
    builder: Builder
    recipe: Recipe
    target: Target

    def as_it_is(self) -> Measured:
        """The build that is there; with an analyze step of its own."""
        folder = self.root / built(self.recipe, self.target.name)
        metrics = target_metrics.read(folder / "report" / "metrics.json")
        figures = {
            "bytes": metrics.sizes[BACKENDS[self.target.backend].bytes_key],
            "accuracy": metrics.accuracy,
            "evaluation": metrics.evaluation,
            **{name: getattr(metrics, name) for name in _SAME},
        }
        return Measured(Variant(label="int8"), figures)

    def measured(self, variant: Variant, simulated: float | None = None) -> Measured:
        """Raises nothing where the SDK refuses the variant: that is a result."""
        began = time.monotonic()
        varied, target = trial.vary(self.recipe, self.target, variant)
        out = built(varied, f"{target.name}/measured.json")
        try:
            steps = [
                *self._builds(varied, target, variant),
                self._measure(varied, target, variant, out),
            ]
            ran = [self.builder.ensure(step) for step in steps]
        except Failed as error:
            console.say(f"  failed: {variant.name}")
            return Measured(variant, {}, simulated, str(error).splitlines()[0])
        is_old = all(outcome is not Outcome.RAN for outcome in ran)
        how = "from the cache" if is_old else f"{time.monotonic() - began:.1f} s"
        console.say(f"  {variant.name}: {how}")
        return Measured(variant, json.loads((self.root / out).read_text()), simulated)

    def build_json(self, variant: Variant) -> str:
        """Path of what the build of a measured variant said."""
        varied, target = trial.vary(self.recipe, self.target, variant)
        return built(varied, f"{target.name}/build.json")

    def search(
        self, by: str, half: Variant, wide: Variant | None, seeds: Sequence[Variant]
    ) -> dict[str, Any]:
        """tune.json. half, wide: every layer in float16, in int16. Raises Failed."""
        builds = {
            "int8.json": built(self.recipe, f"{self.target.name}/build.json"),
            "half.json": self.build_json(half),
            **({"wide.json": self.build_json(wide)} if wide else {}),
            **{f"seed/{seed.name}": self.build_json(seed) for seed in seeds},
        }
        key = f"tune-{self.target.name}-{by}"
        out = built(self.recipe, f"trials/{key}/tune.json")
        step = trials_of(self.target).search(self.recipe, self.target, self.root, by, builds, out)
        step = replace(step, model=trial.name_of(self.recipe, key))
        self.builder.ensure(completed(step, self.recipe))
        return dict(json.loads((self.root / out).read_text()))

    def _builds(self, recipe: Recipe, target: Target, variant: Variant) -> list[Step]:
        wanted = ("quantize", "build") if variant.vendor == PROPOSAL else ("build",)
        found = BACKENDS[target.backend].steps(recipe, target, self.root)
        return [
            self._sharing(completed(step, recipe), recipe, target, variant)
            for step in found
            if step.stage in wanted
        ]

    def _measure(self, recipe: Recipe, target: Target, variant: Variant, out: str) -> Step:
        step = trials_of(target).measure(recipe, target, self.root, out)
        return self._sharing(completed(step, recipe), recipe, target, variant)

    def _sharing(self, step: Step, recipe: Recipe, target: Target, variant: Variant) -> Step:
        """The step, reading what it shares with the model itself in the model's own folder."""
        shared = _SHARED if variant.vendor else (*_SHARED, f"{target.name}/quantize")
        return trial.sharing(step, recipe, self.recipe.build, shared)


_SAME = (
    "cycles", "float_layers", "samples", "outputs", "worst_output_cosine", "worst_cosine_output",
    "worst_output_error", "worst_error_output",
)  # fmt: skip
