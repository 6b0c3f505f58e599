"""Backends: name -> function that makes a target's steps. A new backend is one line here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipelines.backends.rknn import stages as rknn
from pipelines.recipe.model import Recipe, Target
from pipelines.step import Step

BACKENDS: dict[str, Callable[[Recipe, Target, Path], list[Step]]] = {
    "rknn": rknn.steps,
}
