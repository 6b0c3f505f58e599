"""A Concat joins ranges that differ by far, in one int8 scale.

Looks like: an output of boxes in pixels and scores of 0 to 1 whose scores are all 0, or all one
number, with a cosine of 0.9998.

Why: a tensor has one scale. What the Concat's largest part needs for a step is more than the whole
range of its smallest.

Do: put the parts out one by one, `simplify: {rewrite: [split_concat]}`, or cut earlier
(`cut_postprocessing`): the program then reads other outputs. Or divide the large part in the
network, `simplify: {rewrite: [divide_outputs], divide: {boxes: 256}}`, and multiply in the program.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import Evidence, Operation
from pipelines.backends.rknn.findings.finding import Found

PLACE = 50

_LEAST, _WIDE = 8, 64  # levels of 256 that a part has


def find(evidence: Evidence) -> Iterator[Found]:
    least: list[float] = []
    for one in evidence.operations:
        levels = _levels(evidence, one)
        if len(levels) < 2:
            continue
        poorest = min(levels, key=lambda name: levels[name])
        least.append(levels[poorest])
        if levels[poorest] < _LEAST and max(levels.values()) > _WIDE:
            held, joined = evidence.ranges[poorest], evidence.ranges[one.outputs[0]]
            yield Found(
                f"`{one.outputs[0]}` joins ranges that differ by far: its step is "
                f"{joined.scale:.3g}, and `{poorest}` ({held.seen_low:.3g} to {held.seen_high:.3g})"
                f" has {levels[poorest]:.1f} of 256 levels",
                0,
                {"scale": joined.scale, "levels": levels},
                [one.outputs[0]],
            )
            return
    if least:
        yield Found(
            f"no Concat joins ranges that differ by far: the least part has {min(least):.0f} of "
            "256 levels",
            0,
            {"levels": min(least)},
            is_cause=False,
        )


def _levels(evidence: Evidence, one: Operation) -> dict[str, float]:
    """Input of a Concat -> how many steps of the output its range has."""
    joined = evidence.ranges.get(one.outputs[0])
    if one.op != "Concat" or joined is None:
        return {}
    held = {name: evidence.ranges[name] for name in one.inputs if name in evidence.ranges}
    return {name: range_.seen / joined.scale for name, range_ in held.items() if range_.seen}
