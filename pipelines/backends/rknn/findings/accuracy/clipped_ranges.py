"""Calibration leaves out more than half of what a tensor spans.

Looks like: `algorithm: kl_divergence` or `mmse`, and an output whose largest values are all one
number.

Why: both narrow ranges, so that many small values get finer steps; what is beyond becomes the
largest that is held. Right for a long tail, wrong where the largest values are what counts, as of
boxes, heat maps and regressions.

Do: take `algorithm: normal`, which cuts nothing, or put the tensor in float16 (`build: {layers:
...}`).
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import COSINE, Evidence, Range
from pipelines.backends.rknn.findings.finding import Found, counted

PLACE = 65

_HALF = 0.5
_OF_INPUT = "_int8"  # what the SDK adds to an input's name


def find(evidence: Evidence) -> Iterator[Found]:
    cut = {
        name: kept
        for name, own in _own_cosines(evidence).items()
        if (kept := _kept(evidence.ranges[name])) < _HALF
        and not (evidence.is_hurt and own >= COSINE)
    }
    if not cut:
        return
    least = min(cut, key=lambda name: cut[name])
    more = (
        f", and less than half of {counted(len(cut) - 1, 'other tensor')}" if len(cut) > 1 else ""
    )
    end = "" if evidence.is_hurt else "; no output minds"
    yield Found(
        f"{cut[least]:.0%} of what calibration saw of `{least}` is held{more}{end}",
        0,
        {"kept": cut[least], "tensors": len(cut)},
        [*cut],
        is_cause=evidence.is_hurt,
    )


def _own_cosines(evidence: Evidence) -> dict[str, float]:
    """Of tensors that are held, each once: a layer's, on exact inputs; 0 for an input, which has
    no layer. What is cut before an activation is left out: the activation cuts it too."""
    layers = {one.tensor: one.single for one in evidence.layers}
    inputs = {f"{name}{_OF_INPUT}": 0.0 for name in evidence.samples}
    return {name: one for name, one in {**inputs, **layers}.items() if name in evidence.ranges}


def _kept(one: Range) -> float:
    """Share of what calibration saw that is held."""
    held = min(one.high, one.seen_high) - max(one.low, one.seen_low)
    return max(0.0, held) / one.seen if one.seen else 1.0
