"""The runtime's layer table (RKNN_QUERY_PERF_DETAIL): text in columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_ROW = re.compile(r"(?P<id>\d+) +(?P<op>\S+) +(?P<dtype>\S+) +(?P<target>NPU|CPU|GPU)\b")


@dataclass(frozen=True)
class Layer:
    """Times and cycles are left out: no NPU was there."""

    op: str
    dtype: str
    target: str


def parse(lines: Sequence[str]) -> list[Layer]:
    """Rows of the table; its heading and totals are none."""
    found = (_ROW.match(line) for line in lines)
    return [Layer(row["op"], row["dtype"], row["target"]) for row in found if row]
