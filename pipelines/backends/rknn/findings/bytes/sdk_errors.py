"""The SDK printed errors and went on.

Looks like: `E RKNN:` lines in the build's log, though it succeeded.

Why: the compiler checks some limits without stopping. `REGTASK: The bit width of field value
exceeds the limit` means that a register does not hold its value: boards fail or compute wrongly.

Do: take REGTASK as fatal: change the layer (its size, stride or dilation), or cut the network
before it. For others, read what the line says of which tensor.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.backends.rknn.findings.finding import Found, Report

PLACE = 100


def find(report: Report) -> Iterator[Found]:
    printed = [*report.build.errors, *report.build.warnings]
    fatal = [line for line in printed if "REGTASK" in line]
    lines = list(dict.fromkeys([*fatal, *report.build.errors]))
    if lines:
        yield Found(
            f"{len(lines)} errors, {len(fatal)} of them fatal on a board: {lines[0]}",
            0,
            {"errors": lines, "fatal": len(fatal)},
        )
