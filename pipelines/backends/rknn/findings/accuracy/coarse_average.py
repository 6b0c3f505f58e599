"""An AveragePool keeps its input's scale.

Looks like: the means of sparse maps have a handful of values.

Why: the SDK holds an AveragePool's input and output in one int8 range, the input's. Means are
smaller than what they are of.

Do: `simplify: {rewrite: [pool_as_convolution]}`: a convolution's output has a range of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import Evidence
from pipelines.backends.rknn.findings.finding import Found

PLACE = 70

_LEAST = 32


def find(evidence: Evidence) -> Iterator[Found]:
    for one, before, after in evidence.shared("AveragePool"):
        levels = after.seen / after.scale
        yield Found(
            f"the AveragePool `{one.outputs[0]}` keeps its input's step of {before.scale:.3g}: "
            f"its means ({after.seen_low:.3g} to {after.seen_high:.3g}) have {levels:.0f} of 256 "
            "levels",
            0,
            {"levels": levels, "scale": after.scale},
            [one.outputs[0]],
            is_cause=levels < _LEAST,
        )
