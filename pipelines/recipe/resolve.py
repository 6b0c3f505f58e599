"""A recipe's values, which passed every check, as the dataclasses of model.py."""

from __future__ import annotations

import dataclasses
from typing import Any

from pipelines.recipe.check.data import has_source
from pipelines.recipe.check.recipe import channels
from pipelines.recipe.define.model import (
    Analyze,
    Constant,
    Evaluate,
    Gates,
    Input,
    Limits,
    Raw,
    Recipe,
    Samples,
    Simplify,
    Source,
    Target,
)
from pipelines.recipe.define.sections import DATA_SOURCES, SOURCES
from pipelines.recipe.define.view import Values, View
from pipelines.recipe.yaml.tree import Tree

ANALYSIS_SAMPLES = 4  # one takes some 4 to 12 s, and up to 1 GB of the SDK's snapshots


def recipe(tree: Tree, values: Values, views: list[View], constants: Values) -> Recipe:
    """constants: the inputs that have a value; `values` lacks them."""
    inputs = values.get("inputs", {})
    evaluate = values.get("evaluate")
    return Recipe(
        model=values["model"],
        file=tree.file,
        description=values.get("description", ""),
        source=source(values["source"]),
        inputs={name: network_input(inputs[name]) for name in inputs},
        constants={name: constant(given) for name, given in constants.items()},
        outputs=tuple(values.get("outputs", ())),
        simplify=simplify(values.get("simplify", {})),
        evaluate=None if evaluate is None else Evaluate(**evaluate),
        gates=Gates(**values.get("gates", {})),
        limits=Limits(**values.get("limits", {})),
        targets={target.name: target for view in views for target in _targets(view)},
        raw=tree.raw,
        outside=tuple(values.get("outside", ())),
        marks=tree.marks,
        calibration=samples(values.get("quantize", {}).get("calibration")),
    )


def source(values: Values) -> Source:
    kind = next(kind for kind in SOURCES if kind in values)
    file, colon, function = (
        values[kind].rpartition(":") if kind == "torch" else (values[kind], "", "")
    )
    given = {key: value for key, value in values.items() if key not in SOURCES}
    given["dependencies"] = tuple(values.get("dependencies", ()))
    return Source(kind=kind, file=file, function=function if colon else None, **given)


def network_input(values: Values) -> Input:
    """mean and std as one number a channel, where the channels are known."""
    count = channels(values) or 1
    given = dict(values)
    if "shape" in given:
        given["shape"] = tuple(given["shape"])
    for key in ("mean", "std"):
        if key in given:
            given[key] = _per_channel(given[key], count)
    if "raw" in given:
        given["raw"] = raw(given["raw"])
    return Input(**given)


def raw(values: Values) -> Raw:
    shape = tuple(values["shape"]) if "shape" in values else None
    return Raw(values.get("dtype"), shape, values.get("frame"))


def constant(values: Values) -> Constant:
    shape = values.get("shape")
    return Constant(values["value"], None if shape is None else tuple(shape), values.get("dtype"))


def _per_channel(numbers: Any, count: int) -> tuple[float, ...]:
    """One number, or a list of one, stands for every channel."""
    listed = numbers if isinstance(numbers, list) else [numbers]
    return tuple(map(float, listed * count if len(listed) == 1 else listed))


def simplify(values: Values) -> Simplify:
    given = dict(values)
    if "rewrite" in given:
        given["rewrite"] = tuple(given["rewrite"])
    return Simplify(**given)


def _targets(view: View) -> list[Target]:
    return view.definitions.backends[view.backend].resolve(view)


def target(
    view: View, options: object, *, toolchain: str, platform: str | None = None, name: str = ""
) -> Target:
    """What every backend's target has beside its own options. name: where a sweep makes several."""
    return Target(
        name=name or view.name,
        family=view.name,
        backend=view.backend,
        platform=platform,
        toolchain=toolchain,
        calibration=samples(view.get("quantize", "calibration")),
        analyze=analyze(view),
        where=view.target,
        options=options,
        gates=Gates(**view.section("gates")),
        is_baseline=view.get("baseline"),
    )


def analyze(view: View) -> Analyze:
    """The analysis data: its own, else the calibration data."""
    own: dict[str, Any] = dict(view.section("analyze"))
    sdk = bool(own.get("sdk"))
    data = view.get("quantize", "calibration") or {}
    if has_source(own):
        return Analyze(_few(samples(own), ANALYSIS_SAMPLES), sdk)
    if not has_source(data):
        return Analyze(sdk=sdk)
    most = min(ANALYSIS_SAMPLES, data.get("samples", ANALYSIS_SAMPLES))
    return Analyze(_few(samples({**data, "samples": own.get("samples")}), most), sdk)


def _few(found: Samples | None, most: int) -> Samples | None:
    """At most so many, where the recipe names no number."""
    if found is None or found.samples is not None:
        return found
    return dataclasses.replace(found, at_most=most)


def samples(values: Values | None) -> Samples | None:
    if not values or not has_source(values):
        return None
    given: dict[str, Any] = {key: values.get(key) for key in (*DATA_SOURCES, "samples")}
    for key in ("npy", "raw"):
        if isinstance(given[key], str):
            given[key] = (given[key],)
        elif isinstance(given[key], list):
            given[key] = tuple(given[key])
    return Samples(**given)
