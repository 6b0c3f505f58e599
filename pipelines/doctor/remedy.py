"""A remedy: rewrites to add and options to set. It may be a combination of others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from pipelines.backends.rknn.recipe.options import options, varied
from pipelines.recipe.define.model import Recipe, Target
from pipelines.recipe.edit import set_value

# What else an option does that is tried as a remedy.
SIDE_EFFECTS: Mapping[str, str] = {
    "single_core_mode": "the file runs on one core of the NPU, never on several at once",
    "compress_weight": "the NPU unpacks weights as it runs; what that costs in time shows on a "
    "board alone",
    "model_pruning": "the SDK drops the channels that it takes for dead; no figure of the outputs "
    "of the analyzed samples has changed",
    "optimization_level": "the SDK rewrites less of the network, which may cost time",
    "dtype": "numbers have two bytes, so that weights take twice as many and layers more time",
    "method": "all weights of a layer have one scale",
    "samples": "calibration takes as much longer",
    "layers": "layers of 16 bits take more bytes and cycles",
    "divide": "the program multiplies these parts of the outputs again",
    "disable_rules": "layers that these rules would have joined stay apart, which may cost time",
}


@dataclass(frozen=True)
class Remedy:
    """rewrites: names for `simplify.rewrite`. options: of the SDK's config, by their own names.

    dtype, algorithm, method: of the target's `quantize`; empty where they stay. samples: of the
    calibration data, 0 where that stays. layers: tensor -> dtype, of `build`. divide: tensor ->
    factor, of the rewrite `divide_outputs`.
    """

    rewrites: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = ""
    algorithm: str = ""
    method: str = ""
    samples: int = 0
    layers: Mapping[str, str] = field(default_factory=dict)
    divide: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`merge_groups + single_core_mode`; `as it is` for none."""
        told = [_told(name, value) for name, value in self.options.items()]
        told += [_told(key, value) for key, value in self._own.items()]
        told += [f"{name} by {factor:g}" for name, factor in self.divide.items()]
        told += [f"{self.samples} samples"] if self.samples else []
        told += [_layers(self.layers)] if self.layers else []
        return " + ".join([*self.rewrites, *told]) or "as it is"

    @property
    def _own(self) -> dict[str, str]:
        """What changes of the target's `quantize` itself."""
        own = {"dtype": self.dtype, "algorithm": self.algorithm, "method": self.method}
        return {key: value for key, value in own.items() if value}

    @property
    def _more(self) -> dict[str, Any]:
        """What else changes."""
        return {k: v for k, v in (("samples", self.samples), ("layers", dict(self.layers))) if v}

    @property
    def side_effects(self) -> list[str]:
        """`single_core_mode: ...`, a sentence for each option."""
        named = [*self.options, *self._own, *self._more, *(["divide"] if self.divide else [])]
        return [f"{name}: {SIDE_EFFECTS[name]}" for name in named if name in SIDE_EFFECTS]

    @property
    def parts(self) -> int:
        return len(self.rewrites) + len(self.options) + len(self._own) + len(self._more)

    def key(self, target: Target) -> str:
        """Names the trial's folder: the same remedy for the same target is the same trial."""
        where = [target.name, target.platform, target.toolchain]
        parts = [where, self.rewrites, dict(self.options)]
        text = json.dumps([*parts, *self._own.values(), *self._more.values()], sort_keys=True)
        if self.divide:
            text += json.dumps(dict(self.divide), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def __add__(self, other: Remedy) -> Remedy:
        added = (name for name in other.rewrites if name not in self.rewrites)
        options = {**self.options, **other.options}
        return Remedy(
            (*self.rewrites, *added),
            options,
            other.dtype or self.dtype,
            other.algorithm or self.algorithm,
            other.method or self.method,
            other.samples or self.samples,
            {**self.layers, **other.layers},
            {**self.divide, **other.divide},
        )

    def varied(self, target: Target) -> Target:
        """The target with the remedy's own part of it."""
        config = {**options(target).quantize.rknn, **self.options}
        build = {"layers": self.layers} if self.layers else {}
        made = varied(target, quantize={"rknn": config, **self._own}, build=build)
        if self.samples and made.calibration:
            data = replace(made.calibration, samples=self.samples)
            made = replace(made, calibration=data)
        return made

    def changes(self, recipe: Recipe, target: Target) -> list[tuple[tuple[str, ...], Any]]:
        """(path in the recipe, value) of all that the remedy writes."""
        changes: list[tuple[tuple[str, ...], Any]] = []
        if self.rewrites:
            changes.append((("simplify", "rewrite"), rewrites_of(recipe, self.rewrites)))
        if self.divide:
            changes.append((("simplify", "divide"), {**recipe.simplify.divide, **self.divide}))
        place = ("targets", target.name, "quantize")
        changes += [((*place, "rknn", name), value) for name, value in self.options.items()]
        changes += [((*place, key), value) for key, value in self._own.items()]
        if self.samples:
            changes.append(((*place, "calibration", "samples"), self.samples))
        if self.layers:
            changes.append((("targets", target.name, "build", "layers"), dict(self.layers)))
        return changes

    def applied_to(self, text: str, recipe: Recipe, target: Target) -> str:
        """The recipe's text with the remedy in it; comments stay."""
        for path, value in self.changes(recipe, target):
            text = set_value(text, path, value)
        return text

    def lines(self, recipe: Recipe, target: Target) -> list[str]:
        """What to write into the recipe, as YAML."""
        wanted: dict[str, Any] = {}
        for path, value in self.changes(recipe, target):
            place = wanted
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = value
        return yaml.safe_dump(wanted, sort_keys=False, default_flow_style=None).splitlines()


def _told(name: str, value: Any) -> str:
    if value is True:
        return name
    return f"{name}={','.join(value) if isinstance(value, list) else value}"


def _layers(layers: Mapping[str, str]) -> str:
    """`float16: a ... z`, the first and the last tensor."""
    names = [*layers]
    ends = names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}"
    return f"{next(iter(layers.values()))}: {ends} ({len(names)})"


def rewrites_of(recipe: Recipe, added: Sequence[str]) -> list[str]:
    """The recipe's own rewrites, then the added ones."""
    return [*recipe.simplify.rewrite, *(n for n in added if n not in recipe.simplify.rewrite)]
