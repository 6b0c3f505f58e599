"""Which rewrite rules find something to do in a built model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.recipe.model import Recipe
from pipelines.stages.stage import built


@dataclass(frozen=True)
class Applicable:
    """Rules not in the recipe that have something to do. cuts: those that change the outputs."""

    rewrites: tuple[str, ...]
    cuts: tuple[str, ...]


def applicable(root: Path, recipe: Recipe) -> Applicable:
    """What would rewrite something in the simplified network."""
    # onnx takes half a second to import, and only the doctor needs it here.
    from quant.graph import Graph
    from quant.graph_file import read
    from quant.rewrites import RULES

    graph = Graph(read(root / built(recipe, "simplify/model.onnx")))
    found = [
        name
        for name, rule in RULES.items()
        if name not in recipe.simplify.rewrite
        and any(rule.check(graph, match).is_yes for match in rule.matches(graph))
    ]
    return Applicable(
        tuple(name for name in found if RULES[name].keeps_outputs),
        tuple(name for name in found if not RULES[name].keeps_outputs),
    )
