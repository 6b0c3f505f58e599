"""A tensor is beyond what float16 holds.

Looks like: NaN or infinities in an output of a float16 build, or behind float16 layers.

Why: float16 ends at 65,504; the NPU's float is float16.

Do: keep that layer and those after it in int8, or scale the network down before it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import Evidence
from pipelines.backends.rknn.findings.finding import Found

PLACE = 40


def find(evidence: Evidence) -> Iterator[Found]:
    overflow = evidence.metrics.overflow
    if not overflow:
        return
    size = overflow["magnitude"]
    told = "not finite in the float network either" if size is None else f"up to {size:,.0f}"
    yield Found(
        f"`{overflow['tensor']}` is the first tensor beyond 65,504: {told}",
        0,
        {"magnitude": size},
        [overflow["tensor"]],
    )
