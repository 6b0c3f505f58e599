"""The first layers lose most.

Looks like: the lowest *single* cosine of the network stands among its first three layers.

Why: what the first layers lose, all others compute with. Often the input is the reason: its range
(normalised twice, a few pixels far outside), or channels of very different size.

Do: check mean, std and the samples first; then float16 for these layers (`build: {layers: ...}`).
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import COSINE, Evidence
from pipelines.backends.rknn.findings.finding import Found

PLACE = 100

_FIRST = 3
_ENOUGH = 8  # layers, so that "first" says something


def find(evidence: Evidence) -> Iterator[Found]:
    if len(evidence.layers) < _ENOUGH:
        return
    worst = min(evidence.layers, key=lambda one: one.single)
    place = evidence.layers.index(worst)
    if place < _FIRST and worst.single < COSINE:
        yield Found(
            f"layer {place + 1} of {len(evidence.layers)}, `{worst.tensor}`, loses most by itself: "
            f"cosine {worst.single:.4f}",
            0,
            {"single": worst.single, "place": place + 1},
            [worst.tensor],
            is_cause=evidence.is_hurt,
        )
