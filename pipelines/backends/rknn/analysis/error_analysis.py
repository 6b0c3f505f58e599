"""The SDK's error_analysis.txt, read row by row.

    layer_name                               simulator_error
                                         entire              single
                                      cos      euc        cos      euc
    [Input] input                   1.00000 | 0.00000   1.00000 | 0.00000
    [Conv] /m.1/Conv_output_0
    [Conv] output                   0.99437 | 18219.865230.99999 | 780.30804

2.5.0 prints five decimals and at most 9999999; 2.3.2 cuts the distance to six characters
(`18219.`, at most 999999). A tensor that is fused away has no values. `f_nan`, `q_inf` stand where
the float or the quantized tensor isn't finite, `f_zero` and `q_zero` where one is 0 everywhere, and
so has no direction. With a board, further columns follow; not read here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass


class Unreadable(ValueError):
    """A row of error_analysis.txt that can't be read: the message quotes it."""


@dataclass(frozen=True)
class Distance:
    """How far a tensor of the simulator is from the float one. NaN where either isn't finite.

    Where the simulator's is all 0 and the float one is not, cosine is 0 and euclidean not told.
    """

    cosine: float
    euclidean: float | None


@dataclass(frozen=True)
class Row:
    """One tensor. entire: errors add up from the input; single: this operator's alone.

    Both are None for a tensor that is fused away, and for one that is_zero: all 0 in float.
    """

    op_type: str
    tensor: str
    entire: Distance | None
    single: Distance | None
    is_zero: bool = False


ANSI = re.compile(r"\x1b\[[0-9;]*m")
COSINE = r"-?\d\.\d{1,5}|[a-z]*_?(?:nan|inf)|[fq]_zero"
EUCLIDEAN = r"\d+(?:\.\d{0,5})?|[a-z]*_?(?:nan|inf)|[fq]_zero"
PAIR = rf"({COSINE})\s*\|\s*({EUCLIDEAN})"
ROW = re.compile(rf"\[(?P<op>[^\]]+)\] (?P<tensor>\S.*?)\s+{PAIR}\s*{PAIR}(?:\s.*|)$")
FUSED = re.compile(r"\[(?P<op>[^\]]+)\] (?P<tensor>[^|]*\S)\s*$")


def read(text: str) -> list[Row]:
    """The rows of an error_analysis.txt, in its order. Raises Unreadable."""
    head, rule, body = ANSI.sub("", text).partition("\n---")
    if not rule or "layer_name" not in head:
        raise Unreadable("not an error_analysis.txt: it has no table")
    rows = [_row(line) for line in body.splitlines()[1:] if line.strip()]
    if not rows:
        raise Unreadable("an error_analysis.txt without rows")
    return rows


def _row(line: str) -> Row:
    match = ROW.match(line)
    if match:
        cells = match.groups()[2:]
        entire, single = _distance(*cells[:2]), _distance(*cells[2:])
        return Row(match["op"], match["tensor"], entire, single, "f_zero" in cells)
    fused = FUSED.match(line)
    if not fused:
        raise Unreadable(f"a row of error_analysis.txt can't be read: {line}")
    return Row(fused["op"], fused["tensor"], None, None)


def _distance(cosine: str, euclidean: str) -> Distance | None:
    """None where the float tensor is all 0: the SDK then looks no further."""
    if "f_zero" in (cosine, euclidean):
        return None
    if "q_zero" in (cosine, euclidean):
        return Distance(0.0, None)
    return Distance(_number(cosine), _number(euclidean))


def _number(printed: str) -> float:
    """A value as printed. Both `f_nan` and `q_inf` become NaN: neither is a distance."""
    return math.nan if printed.endswith(("nan", "inf")) else float(printed)
