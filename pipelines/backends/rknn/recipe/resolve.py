"""A target of rknn, which passed every check, as plain data."""

from __future__ import annotations

from typing import Any

from pipelines.backends.rknn.recipe.keys import RKNN
from pipelines.backends.rknn.recipe.options import Build, Quantize, RknnOptions, Runtime
from pipelines.backends.rknn.recipe.view import is_quantized, platform_of
from pipelines.recipe.define.model import Target
from pipelines.recipe.define.view import Values, View
from pipelines.recipe.resolve import target


def resolve(view: View) -> list[Target]:
    """The one that it stands for."""
    load = {**RKNN.defaults, **_without_null(view.section("rknn"))}
    options = RknnOptions(quantize(view), build(view), load, runtime(view))
    return [target(view, options, toolchain=view.get("toolchain"), platform=platform_of(view))]


def runtime(view: View) -> Runtime | None:
    is_asked = "runtime" in view.recipe or "runtime" in view.own
    return Runtime(**view.section("runtime")) if is_asked else None


def quantize(view: View) -> Quantize:
    values = dict(view.section("quantize"))
    values.pop("calibration", None)
    values["rknn"] = _without_null(values.get("rknn", {}))
    values["hybrid"] = dict(values.get("hybrid", {})) if is_quantized(view) else {}
    return Quantize(**values)


def build(view: View) -> Build:
    """A float target inherits no hybrid layers: all of its layers are float."""
    values = dict(view.section("build"))
    if not is_quantized(view):
        values |= {"layers": {}, "auto_hybrid": False}
    return Build(**values)


def _without_null(values: Values) -> dict[str, Any]:
    """null takes an inherited option back to the SDK's own default."""
    return {key: value for key, value in values.items() if value is not None}
