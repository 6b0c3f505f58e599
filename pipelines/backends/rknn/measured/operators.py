"""Where each operator ran when it was measured: operators.csv, which benchmarks.operators writes.

A row is one network of benchmarks.operator_cases, built for one platform in one type by one SDK.
Standard library only: findings run in the SDK's toolchain.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("operators.csv")
NPU, CPU, BOTH, REFUSED = "NPU", "CPU", "NPU+CPU", "refused"


class Row(NamedTuple):
    """operator: of ONNX. place: one of the above, with ` float` where an int8 or int16 build
    computes some of it in float. types: the compiler's names of its layers. error: of the
    simulator, as a share of the output's range. cycles, size_bytes: of the whole network.
    why: what the SDK says that refuses.

    What was not measured, or can't be, is empty.
    """

    version: str
    dtype: str
    platform: str
    case: str
    operator: str
    place: str
    types: str
    error: str
    cycles: str
    size_bytes: str
    why: str

    @property
    def where(self) -> str:
        """The place without the type."""
        return self.place.removesuffix(" float")


@cache
def rows() -> tuple[Row, ...]:
    """All that was measured, in the order of the table of cases."""
    with FILE.open(encoding="utf-8", newline="") as file:
        _, *held = csv.reader(file)
    return tuple(Row(*row) for row in held)


def of(operator: str, version: str, dtype: str) -> list[Row]:
    """Every platform's rows of one operator."""
    return [row for row in of_kind(version, dtype) if row.operator == operator]


@cache
def of_kind(version: str, dtype: str) -> tuple[Row, ...]:
    """The rows of a toolkit and type: a tenth of the file, the rest of which is not read as CSV."""
    start = f"{version},{dtype},"
    with FILE.open(encoding="utf-8", newline="") as file:
        held = csv.reader(line for line in file if line.startswith(start))
        return tuple(Row(*row) for row in held)


def place(operator: str, platform: str, version: str, dtype: str) -> str | None:
    """Where all measured forms of it ran: NPU, CPU or refused; None where they differ, or unknown.

    Forms of which a part ran on the CPU count as neither.
    """
    found = {row.where for row in of(operator, version, dtype) if row.platform == platform}
    return found.pop() if len(found) == 1 and BOTH not in found else None


def told(operator: str, platform: str, version: str, dtype: str) -> str | None:
    """A sentence about an operator that does not run on the NPU wholly, else None.

    ``GridSample runs on the CPU on every platform (10 measured, with 2.5.0)``.
    """
    measured = of(operator, version, dtype)
    here = [row for row in measured if row.platform == platform]
    if not here or all(row.where == NPU for row in here):
        return None
    count = len({row.platform for row in measured})
    return f"{operator} {_where(here, measured, platform)} ({count} measured, with {version})"


def _where(here: list[Row], everywhere: list[Row], platform: str) -> str:
    places = {row.where for row in here}
    if len(places) > 1 or BOTH in places:
        few = "; ".join(f"{row.case}: {row.where}" for row in here if row.where != NPU)
        return f"is not always on the NPU of {platform}: {few}"
    [only] = places
    does = {CPU: "runs on the CPU", REFUSED: "is refused"}[only]
    if all(row.where == only for row in everywhere):
        return f"{does} on every platform"
    return f"{does} on {platform}"
