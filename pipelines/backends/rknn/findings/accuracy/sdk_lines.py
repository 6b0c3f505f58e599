"""The SDK said that it computes something else, or that a board may fail.

Looks like: a W or E line in the build's log, which the SDK goes on after.

Why: the table of this finding says it of each line.

Do: as the table says; change the layer, or cut the network before it (`cut_postprocessing`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipelines.backends.rknn.findings.accuracy.evidence import Evidence
from pipelines.backends.rknn.findings.finding import Found

PLACE = 80

# What a line holds -> what it means, and whether it changes numbers.
LINES: tuple[tuple[str, str, bool], ...] = (
    (r"REGTASK", "a register does not hold its value: boards fail or compute wrongly", True),
    (r"equiv_channels\(\d+\) > limitations", "more channels than the NPU's 8,192", True),
    (r"align_surf overflow", "a surface is larger than the NPU addresses", True),
    (r"Conv Not Support u8->i16", "a convolution's type is none of the NPU's", True),
    (r"RMSNorm.*epsilon|epsilon.*RMSNorm", "a norm without epsilon gets one of 1e-5", True),
    (r"channel is too large.*fallback to cpu", "a layer runs on the CPU", False),
    (r"No lowering found", "an operator has no form on the NPU", False),
)


def find(evidence: Evidence) -> Iterator[Found]:
    for pattern, meaning, changes in LINES:
        lines = [line for line in evidence.printed if re.search(pattern, line)]
        if lines:
            yield Found(
                f"the SDK says `{lines[0]}`: {meaning}", 0, {"lines": lines}, is_cause=changes
            )
