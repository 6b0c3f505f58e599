"""A linear Resize cuts off its input's peaks.

Looks like: peaks are too low by a tenth or more, with a cosine of 0.999; calibration saw more of
the tensor before a linear Resize than is held.

Why: the SDK holds a linear Resize's input and output in one int8 range, the output's.
Interpolation lowers peaks, so that the output's range is the smaller one.

Do: `simplify: {rewrite: [resize_as_convolution]}` for even factors and half pixels; for others,
float16 for the input *and* the output of the Resize (`build: {layers: ...}`): one alone does
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import Evidence, Range
from pipelines.backends.rknn.findings.finding import Found

PLACE = 60

_NOTABLE = 0.05


def find(evidence: Evidence) -> Iterator[Found]:
    for one, before, after in evidence.shared("Resize"):
        if one.mode != "linear" or not before.seen:
            continue
        lost = _lost(before, after)
        is_cause = lost >= _NOTABLE
        yield Found(
            f"the linear Resize `{one.outputs[0]}` cuts {lost:.1%} off the range of its input "
            f"`{one.inputs[0]}` ({before.seen_low:.3g} to {before.seen_high:.3g}, held "
            f"{before.low:.3g} to {before.high:.3g})",
            0,
            {"lost": lost, "seen": [before.seen_low, before.seen_high]},
            [one.outputs[0]],
            is_cause=is_cause,
        )


def _lost(before: Range, after: Range) -> float:
    """Share of the input's range beyond the output's; what an algorithm cuts off both is not."""
    beyond = max(before.seen_high - after.seen_high, after.seen_low - before.seen_low, 0.0)
    cut = max(before.seen_high - before.high, before.low - before.seen_low, 0.0)
    return min(beyond, cut) / before.seen
