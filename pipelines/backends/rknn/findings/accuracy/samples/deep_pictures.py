"""The data has 16 bits, mean and std are for 8.

Looks like: whole numbers up to 65,535, with a mean or std of 16 to 255.

Why: 16-bit pictures are 257 times as bright in numbers. The network gets values that it was never
trained on.

Do: divide the data by 257, or multiply mean and std by it, as the board's program does.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import Evidence
from pipelines.backends.rknn.findings.finding import Found
from quant.samples.images import pixel_units
from quant.samples.input import Input

PLACE = 20

_LARGEST = 65535


def find(evidence: Evidence) -> Iterator[Found]:
    for name, held in evidence.samples.items():
        told = evidence.inputs.get(name, Input())
        mean, std = told.mean, told.std
        if held["low"] is None or not pixel_units.is_in_pixels(mean, std):
            continue
        is_eight_bit = max(*(mean or [0]), *(std or [0])) <= pixel_units.LARGEST
        is_deep = pixel_units.LARGEST < held["high"] <= _LARGEST and held["low"] >= 0
        if is_eight_bit and is_deep and held["is_whole"]:
            yield Found(
                f"the data of input `{name}` goes up to {held['high']:,.0f}, its mean and std are "
                "for pixels of 0 to 255",
                0,
                {"high": held["high"]},
                [name],
            )
