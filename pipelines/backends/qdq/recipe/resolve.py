"""A target of qdq, which passed every check, as plain data."""

from __future__ import annotations

from dataclasses import fields

from pipelines.backends.qdq.recipe.options import Options
from pipelines.recipe.define.model import Gates, Target
from pipelines.recipe.define.view import View
from pipelines.recipe.resolve import analyze, samples


def resolve(view: View) -> list[Target]:
    """One."""
    chosen = {field.name: view.get(field.name) for field in fields(Options)}
    listed = {key: tuple(chosen[key]) for key in ("op_types_to_quantize", "nodes_to_exclude")}
    return [
        Target(
            name=view.name,
            family=view.name,
            backend=view.backend,
            platform=None,
            toolchain="core",
            calibration=samples(view.get("quantize", "calibration")),
            analyze=analyze(view),
            where=view.target,
            options=Options(**{**chosen, **listed}),
            gates=Gates(**view.section("gates")),
            is_baseline=view.get("baseline"),
        )
    ]
