"""Targets of fixed_point, which passed every check, as plain data."""

from __future__ import annotations

from pipelines.backends.fixed_point.recipe import sweep
from pipelines.backends.fixed_point.recipe.keys import KEYS
from pipelines.backends.fixed_point.recipe.options import FixedPoint
from pipelines.recipe.define.model import Target
from pipelines.recipe.define.view import View
from pipelines.recipe.resolve import target


def resolve(view: View) -> list[Target]:
    """One, or those that a sweep makes of it."""
    return [_target(view, point) for point in sweep.points(view)]


def _target(view: View, point: sweep.Point) -> Target:
    choices = {key: view.get(key) for key in KEYS if key not in sweep.SWEPT}
    options = FixedPoint(point.input_scale, point.bias_mode, **choices)
    return target(view, options, toolchain="core", name=point.name)
