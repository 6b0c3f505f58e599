"""A tensor is all 0 in int8, and not in float.

Looks like: `q_zero` in the SDK's error_analysis.txt; an output that never changes.

Why: the tensor shares a scale with larger ones, or its calibrated range is far larger than what
the sample has of it: all of it is less than half a step.

Do: look at what shares its scale (a Concat, a pooling, a Resize), at the samples, and put the
tensor in float16 (`build: {layers: ...}`) where nothing else helps.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import Evidence
from pipelines.backends.rknn.findings.finding import Found, listed

PLACE = 90


def find(evidence: Evidence) -> Iterator[Found]:
    if evidence.lost:
        yield Found(
            f"all 0 in int8 and not in float: {listed(evidence.lost)}",
            0,
            {"tensors": len(evidence.lost)},
            evidence.lost,
        )
