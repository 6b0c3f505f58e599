"""Which rewrite rules find something to do in a built model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.recipe.define.model import Recipe
from pipelines.stages.stage import built
from quant.rewrites.names import CUTS

DIVIDE = "divide_outputs"


@dataclass(frozen=True)
class Applicable:
    """Rules not in the recipe that have something to do. cuts: those that change the outputs.

    divide: tensor -> factor for `divide_outputs`, one of the cuts where it is not empty.
    """

    model: Path
    rewrites: tuple[str, ...]
    cuts: tuple[str, ...]
    divide: Mapping[str, float] = field(default_factory=dict)

    def dividing(self, factors: Mapping[str, float]) -> Applicable:
        """With `divide_outputs` where there is something to divide."""
        return replace(self, cuts=(*self.cuts, DIVIDE), divide=factors) if factors else self

    def has(self, rule: str) -> bool:
        """Whether that rule has something to do."""
        return rule in self.rewrites

    def for_bytes(self) -> Applicable:
        """Without the rules that are for accuracy alone."""
        from quant.rewrites.table import RULES

        rewrites, cuts = (
            tuple(name for name in names if RULES[name].saves_bytes)
            for names in (self.rewrites, self.cuts)
        )
        return replace(self, rewrites=rewrites, cuts=cuts)

    def for_accuracy(self) -> tuple[str, ...]:
        """Rewrites that are for it alone."""
        from quant.rewrites.table import RULES

        return tuple(name for name in self.rewrites if not RULES[name].saves_bytes)

    def firing(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those rules that, applied one after the other, still find something to do.

        merge_groups leaves split_depthwise_multiplier nothing, and the other way round.
        """
        from quant.graph.file import read
        from quant.graph.graph import Graph
        from quant.rewrites.apply import apply
        from quant.rewrites.table import RULES

        graph = Graph(read(self.model))
        return tuple(name for name in names if apply(RULES[name], graph).fired)


def applicable(root: Path, recipe: Recipe, left_out: Collection[str]) -> Applicable:
    """What would rewrite something in the simplified network, some rules left out."""
    # onnx takes half a second to import, and only the doctor needs it here.
    from quant.graph.file import read
    from quant.graph.graph import Graph
    from quant.rewrites.table import RULES

    model = root / built(recipe, "simplify/model.onnx")
    graph = Graph(read(model))
    found = [
        name
        for name, rule in RULES.items()
        if name not in (*recipe.simplify.rewrite, *left_out)
        and any(rule.check(graph, match).is_yes for match in rule.matches(graph))
    ]
    return Applicable(
        model,
        tuple(name for name in found if name not in CUTS),
        tuple(name for name in found if name in CUTS),
    )
