"""A list of a fixed_point target's `input_scale` or `bias_mode` makes a target of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from pipelines.recipe.define.view import View

SWEPT = ("input_scale", "bias_mode")


@dataclass(frozen=True)
class Point:
    """name: the target's name with the swept values, such as int8-s4-b16."""

    name: str
    input_scale: float | Mapping[str, float]
    bias_mode: str


def points(view: View) -> list[Point]:
    """The targets that a target stands for, itself where nothing is swept."""
    scales, modes = (_listed(view.get(key)) for key in SWEPT)
    return [
        Point("-".join([view.name, *scale_name, *mode_name]), scale, mode)
        for (scale_name, scale), (mode_name, mode) in product(scales, modes)
    ]


def is_in_name(key: str, value: Any) -> bool:
    """Whether the name of a swept target tells its value: not which input has which factor."""
    return (
        key in SWEPT
        and isinstance(value, list)
        and not any(isinstance(item, Mapping) for item in value)
    )


def _listed(value: Any) -> list[tuple[list[str], Any]]:
    """Each value with what it adds to the name."""
    if not isinstance(value, list):
        return [([], value)]
    return [([_short(item)], item) for item in value]


def _short(value: Any) -> str:
    """s4, s0p5, s8_4 (a factor an input, in the recipe's order), b16."""
    if isinstance(value, Mapping):
        return "s" + "_".join(map(_plain, value.values()))
    return f"s{_plain(value)}" if isinstance(value, (int, float)) else str(value).lower()


def _plain(scale: float) -> str:
    """In letters that a name may have."""
    return f"{scale:.12g}".replace(".", "p")
