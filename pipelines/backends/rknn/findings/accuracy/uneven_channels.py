"""Channels of one tensor are apart by powers of two.

Looks like: a quarter of a tensor's channels have less than 4 of its 256 levels.

Why: a tensor has one int8 scale for all its channels. What is 2^6 times smaller than the largest
channel is rounded to 4 levels, and what the next layer makes of it is noise.

Do: `simplify: {rewrite: [equalize_channels]}`, exact, where a Relu or a pooling stands between two
convolutions; after a Clip (Relu6) or at a sum, float16 for the tensor and its reader (`build:
{layers: ...}`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import Evidence
from pipelines.backends.rknn.findings.finding import Found

PLACE = 55

_CHANNELS = 4  # that a tensor has, so that a share of them says something
_LEVELS, _SHARE = 4, 0.25


def find(evidence: Evidence) -> Iterator[Found]:
    joined = {name for one in evidence.operations if one.op == "Concat" for name in one.outputs}
    poor = {
        name: found
        for name in evidence.spans
        if name in evidence.ranges and name not in joined and (found := _poor(evidence, name))
    }
    if not poor:
        return
    worst = max(poor, key=lambda name: poor[name][0] / poor[name][1])
    few, alive, apart = poor[worst]
    more = f"; {len(poor) - 1} more tensors are so" if len(poor) > 1 else ""
    yield Found(
        f"{few} of {alive} channels of `{worst}` have less than {_LEVELS} of 256 levels: the "
        f"largest channel is 2^{math.log2(apart):.1f} times the smallest{more}",
        0,
        {"few": few, "channels": alive, "apart": apart, "tensors": len(poor)},
        [*poor],
        is_cause=evidence.is_hurt,
    )


def _poor(evidence: Evidence, name: str) -> tuple[int, int, float] | None:
    """(channels of few levels, of all that vary, largest by smallest); None for too few."""
    low, high = evidence.spans[name]
    spans = [top - bottom for bottom, top in zip(low, high, strict=True) if top > bottom]
    if len(spans) < _CHANNELS:
        return None
    few = sum(span < _LEVELS * evidence.ranges[name].scale for span in spans)
    return (few, len(spans), max(spans) / min(spans)) if few >= _SHARE * len(spans) else None
