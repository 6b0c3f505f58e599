"""A target of qdq, which passed every check, as plain data."""

from __future__ import annotations

from dataclasses import fields

from pipelines.backends.qdq.recipe.options import Options
from pipelines.recipe.define.model import Target
from pipelines.recipe.define.view import View
from pipelines.recipe.resolve import target


def resolve(view: View) -> list[Target]:
    """One."""
    chosen = {field.name: view.get(field.name) for field in fields(Options)}
    listed = {key: tuple(chosen[key]) for key in ("op_types_to_quantize", "nodes_to_exclude")}
    return [target(view, Options(**{**chosen, **listed}), toolchain="core")]
