"""Calibration saw too little of what the network gets.

Looks like: values beyond what calibration saw, in samples that it did not have.

Why: a tensor's int8 range is what the calibration's samples made of it; what is beyond becomes the
largest that is held. The SDK's maker says 20 to 100 samples.

Do: calibrate on more samples, and on all kinds that the board will see: `quantize: {calibration:
{samples: 100}}`; analyze others than those (`analyze: {images: ...}`), which shows it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import Evidence
from pipelines.backends.rknn.findings.finding import Found, counted

PLACE = 35

_ENOUGH = 20  # samples
_NOTABLE = 0.1  # of the range that calibration saw


def find(evidence: Evidence) -> Iterator[Found]:
    count = evidence.calibrated
    if count is None:
        return
    beyond = {name: far for name, far in _beyond(evidence).items() if far > _NOTABLE}
    if beyond:
        most = max(beyond, key=lambda name: beyond[name])
        held = evidence.ranges[most]
        others = f", and {counted(len(beyond) - 1, 'other tensor')}" if len(beyond) > 1 else ""
        yield Found(
            f"the {counted(count, 'sample')} of the calibration did not show all: `{most}` goes "
            f"{beyond[most]:.0%} of its range beyond {held.seen_low:.3g} to {held.seen_high:.3g}"
            f"{others}",
            0,
            {"samples": count, "beyond": beyond[most], "tensors": len(beyond)},
            [*beyond],
            is_cause=evidence.is_hurt,
        )
    elif count < _ENOUGH and evidence.spans:
        yield Found(
            f"{counted(count, 'sample')} calibrate, of {_ENOUGH} to 100 that the SDK's maker "
            "wants; nothing that was analyzed goes beyond what they showed",
            0,
            {"samples": count, "tensors": 0},
            is_cause=False,
        )


def _beyond(evidence: Evidence) -> dict[str, float]:
    """Tensor -> how far the analyzed samples go beyond what calibration saw, by its range."""
    found = {}
    for name, (low, high) in evidence.spans.items():
        held = evidence.ranges.get(name)
        if held and held.seen > 0:
            found[name] = max(held.seen_low - min(low), max(high) - held.seen_high) / held.seen
    return found
