"""Samples that say little: one number throughout, or all the same.

Looks like: black pictures, or one picture many times.

Why: ranges are taken from what calibration sees; a sample without contrast widens none.

Do: give 20 to 100 different samples of what the network will see.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import Evidence
from pipelines.backends.rknn.findings.finding import Found, counted

PLACE = 30


def find(evidence: Evidence) -> Iterator[Found]:
    count = evidence.metrics.samples
    for name, held in evidence.samples.items():
        flat, distinct = len(held["constant"]), int(held["distinct"])
        numbers = {"samples": count, "constant": flat, "distinct": distinct}
        if flat:
            yield Found(
                f"{flat} of {counted(count, 'sample')} of input `{name}` are one number throughout",
                0,
                numbers,
                [name],
                is_cause=flat == count,
            )
        elif count > 1 and distinct == 1:
            yield Found(f"all {count} samples of input `{name}` are the same", 0, numbers, [name])
