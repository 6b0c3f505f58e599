"""A recipe's values, which passed every check, as the dataclasses of model.py."""

from __future__ import annotations

import dataclasses
from typing import Any

from pipelines.recipe.check.data import has_source
from pipelines.recipe.check.recipe import channels
from pipelines.recipe.define import sweep
from pipelines.recipe.define.definitions import DATA_SOURCES, FIXED_POINT, RKNN, SOURCES
from pipelines.recipe.define.model import (
    Analyze,
    Build,
    Constant,
    Evaluate,
    FixedPoint,
    Gates,
    Input,
    Limits,
    Quantize,
    Recipe,
    Runtime,
    Samples,
    Simplify,
    Source,
    Target,
)
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
        inputs={name: network_input(name, inputs[name]) for name in inputs},
        constants={name: constant(given) for name, given in constants.items()},
        outputs=tuple(values.get("outputs", ())),
        simplify=simplify(values.get("simplify", {})),
        evaluate=None if evaluate is None else Evaluate(**evaluate),
        gates=Gates(**values.get("gates", {})),
        limits=Limits(**values.get("limits", {})),
        targets={target.name: target for view in views for target in targets(view)},
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


def network_input(name: str, values: Values) -> Input:
    """mean and std as one number a channel, where the channels are known."""
    count = channels(values) or 1
    given = dict(values)
    if "shape" in given:
        given["shape"] = tuple(given["shape"])
    for key in ("mean", "std"):
        if key in given:
            given[key] = _per_channel(given[key], count)
    return Input(name=name, **given)


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


def targets(view: View) -> list[Target]:
    """One, or those that a sweep makes of it."""
    if view.get("backend") == "fixed_point":
        return [fixed_point(view, point) for point in sweep.points(view)]
    return [target(view)]


def fixed_point(view: View, point: sweep.Point) -> Target:
    choices = {key: view.get(key) for key in FIXED_POINT if key not in sweep.SWEPT}
    return Target(
        name=point.name,
        family=view.name,
        backend="fixed_point",
        platform=None,
        toolchain="core",
        quantize=Quantize(calibration=samples(view.get("quantize", "calibration"))),
        build=Build(),
        analyze=analyze(view),
        rknn={},
        where=view.target,
        gates=Gates(**view.section("gates")),
        is_baseline=view.get("baseline"),
        fixed_point=FixedPoint(point.input_scale, point.bias_mode, **choices),
    )


def target(view: View) -> Target:
    return Target(
        name=view.name,
        family=view.name,
        backend=view.get("backend"),
        platform=view.platform,
        toolchain=view.get("toolchain"),
        quantize=quantize(view),
        build=build(view),
        analyze=analyze(view),
        rknn={**RKNN.defaults, **_without_null(view.section("rknn"))},
        where=view.target,
        gates=Gates(**view.section("gates")),
        runtime=runtime(view),
        is_baseline=view.get("baseline"),
    )


def runtime(view: View) -> Runtime | None:
    is_asked = "runtime" in view.recipe or "runtime" in view.own
    return Runtime(**view.section("runtime")) if is_asked else None


def quantize(view: View) -> Quantize:
    values = dict(view.section("quantize"))
    values["calibration"] = samples(values.get("calibration"))
    values["rknn"] = _without_null(values.get("rknn", {}))
    values["hybrid"] = dict(values.get("hybrid", {})) if view.is_quantized else {}
    return Quantize(**values)


def build(view: View) -> Build:
    """A float target inherits no hybrid layers: all of its layers are float."""
    values = dict(view.section("build"))
    if not view.is_quantized:
        values |= {"layers": {}, "auto_hybrid": False}
    return Build(**values)


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
    given = {key: values.get(key) for key in (*DATA_SOURCES, "samples")}
    if isinstance(given["npy"], str):
        given["npy"] = (given["npy"],)
    elif isinstance(given["npy"], list):
        given["npy"] = tuple(given["npy"])
    return Samples(**given)


def _without_null(values: Values) -> dict[str, Any]:
    """null takes an inherited option back to the SDK's own default."""
    return {key: value for key, value in values.items() if value is not None}
