"""A layer loses by itself, on inputs that are right.

Looks like: *single* falls.

Why: what a layer makes does not fit its int8 range, or its weights do not: the layers before are
not to blame. Where *entire* holds nevertheless, the network does not feel it.

Do: float16 for this layer and for its reader (`build: {layers: ...}`), or another `algorithm`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import COSINE, Evidence
from pipelines.backends.rknn.findings.finding import Found

PLACE = 105

# What holds its output as something else is held; these have findings of their own.
_SHARING = ("AveragePool", "Concat", "Resize")


def find(evidence: Evidence) -> Iterator[Found]:
    shared = {name for one in evidence.operations if one.op in _SHARING for name in one.outputs}
    own = [one for one in evidence.layers if one.tensor not in shared]
    worst = min(own, key=lambda one: one.single, default=None)
    if worst is None or worst.single >= COSINE:
        return
    numbers = {"entire": worst.entire, "single": worst.single}
    told = (
        f"`{worst.tensor}` has {worst.single:.4f} by itself and {worst.entire:.4f} in the network"
    )
    is_felt = worst.entire < COSINE
    yield Found(
        f"{told}: it loses on inputs that are right"
        if is_felt
        else f"{told}, which does not feel it",
        0,
        numbers,
        [worst.tensor],
        is_cause=evidence.is_hurt and is_felt,
    )
