"""What to divide parts of an output by, so that one int8 range holds them all."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from pipelines.backends.table import BACKENDS
from pipelines.doctor.applicable import DIVIDE
from pipelines.recipe.define.model import Recipe, Target
from pipelines.stages.stage import built
from quant.rewrites.names import CUTS

_LEAST, _MOST = 4.0, 2.0**16  # factors that are worth it, and that a recipe takes
_AWAY = 4


def proposed(
    root: Path, recipe: Recipe, target: Target, left_out: Collection[str]
) -> dict[str, float]:
    """Tensor -> factor for `divide_outputs`: what brings the parts of each Concat to one span.

    By the ranges that the target's calibration saw. Empty where nothing is known, or the recipe
    cuts the network already.
    """
    is_open = set(CUTS).isdisjoint(recipe.simplify.rewrite) and DIVIDE not in left_out
    trials = BACKENDS[target.backend].trials
    if not is_open or trials is None or trials.is_one_call(target):
        return {}
    # onnx takes half a second to import, and only the doctor needs it here.
    from quant.graph.file import read
    from quant.graph.graph import Graph
    from quant.rewrites.cuts.divide_outputs import joined
    from quant.simulation import parameters
    from quant.simulation.unknown import Unknown

    config = root / built(recipe, f"{target.name}/quantize/model.quantization.cfg")
    try:
        held = parameters.read(config.read_text())
    except (Unknown, OSError):
        return {}
    seen = {name: one.seen for name, one in held.items() if one.is_integer}
    graph = Graph(read(root / built(recipe, "simplify/model.onnx")), is_copied=False)
    found: dict[str, float] = {}
    for parts in joined(graph):
        if all(name in seen and seen[name][1] > seen[name][0] for name in parts):
            found.update(_factors({name: seen[name] for name in parts}))
    return found


def _factors(seen: Mapping[str, tuple[float, float]]) -> Iterator[tuple[str, float]]:
    """Each part then loses the same share of its own span.

    What lies far from 0 needs more of the range than its span: no part is divided by more than
    _AWAY times, or less than an _AWAYth, of what brings the parts to one magnitude.
    """
    spans = {name: high - low for name, (low, high) in seen.items()}
    sizes = {name: max(abs(low), abs(high)) for name, (low, high) in seen.items()}
    least = min(spans, key=lambda name: spans[name])
    for name in seen:
        alike = sizes[name] / sizes[least]
        ratio = min(max(spans[name] / spans[least], alike / _AWAY), alike * _AWAY)
        factor = min(_MOST, 2.0 ** round(math.log2(ratio)))
        if factor >= _LEAST:
            yield name, factor
