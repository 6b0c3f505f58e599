"""The data is normalised already, and mean and std are applied to it again.

Looks like: samples within a few units of 0, and a mean or std of pixels (127.5).

Why: the SDK applies mean and std to npy files too. What the network then gets lies within a
hundredth of its usual range, so that calibration, analysis and every cosine are of another network
input than the board's.

Do: delete `mean` and `std` of the input if the board's program normalises too; else give the data
in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import Evidence
from pipelines.backends.rknn.findings.finding import Found
from quant.samples.images import pixel_units
from quant.samples.input import Input

PLACE = 10


def find(evidence: Evidence) -> Iterator[Found]:
    for name, held in evidence.samples.items():
        told = evidence.inputs.get(name, Input())
        if held["low"] is None or not pixel_units.is_in_pixels(told.mean, told.std):
            continue
        largest = max(abs(held["low"]), abs(held["high"]))
        is_cause = largest <= pixel_units.NORMALIZED
        says = "is it normalised already?" if is_cause else "it is not normalised yet"
        yield Found(
            f"the data of input `{name}` goes from {held['low']:.4g} to {held['high']:.4g}, and "
            f"mean and std are {_said(told)}: {says}",
            0,
            {"low": held["low"], "high": held["high"]},
            [name],
            is_cause=is_cause,
        )


def _said(told: Input) -> str:
    return ", ".join(str(values and list(values)) for values in (told.mean, told.std))
