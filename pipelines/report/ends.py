"""Inputs and outputs as a file or a runtime tells them, in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.files.console import table, width

Ends = Sequence[Mapping[str, Any]]


def lines(inputs: Ends, outputs: Ends, shape: str = "shape") -> list[str]:
    """A row each: {name, shape, dtype, layout, scale, zero_point}. shape: what the shapes are."""
    rows = [
        [f"{side} {end['name']}", str(end["shape"]), end["dtype"], end["layout"], *_scale(end)]
        for side, ends in (("input", inputs), ("output", outputs))
        for end in ends
    ]
    head = ["", shape, "type", "layout", "scale", "zero point"]
    return table([head, *rows], most=width()) if rows else []


def _scale(end: Mapping[str, Any]) -> tuple[str, str]:
    scale, zero_point = end["scale"], end["zero_point"]
    if scale is None:
        return "", ""
    if isinstance(scale, list):
        return f"{len(scale)} scales", ""
    return f"{scale:.9g}", str(zero_point or 0)
