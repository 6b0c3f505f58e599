"""What differs between two sides, as JSON data; of everything the worst first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.report.comparison.side import Row, Side

_NUMBERS = ("cycles", "bytes", "entire", "single")
_WORDS = ("op", "shape", "dtype", "target")
_LOST = "NaN"  # the error of an output that is not finite


def compare(a: Side, b: Side) -> dict[str, Any]:
    """{a, b: name, file_bytes, cycles, layers (how many); about, ends, errors, kinds, rules: rows
    [what, in a, in b] of what differs, null where a side lacks it; layers: {changed, only_a,
    only_b, same}; findings: {gone, came}: rows [name, message]}.

    An error is a number, "NaN" of an output that is not finite, or null of one that is not there.
    changed: rows {tensor, op, a, b}, a and b of what differs alone; first where b has the larger
    error, then more cycles, then more bytes.
    """
    pairs, only_a, only_b = _matched(a.layers, b.layers)
    changed = [row for row in (_changed(*pair) for pair in pairs) if row]
    return {
        "a": _side(a),
        "b": _side(b),
        "about": _differing(a.about, b.about),
        "ends": _differing(a.ends, b.ends),
        "errors": _by_growth(_differing(_told(a.errors), _told(b.errors))),
        "kinds": _by_growth(_differing(a.kinds, b.kinds)),
        "rules": _by_growth(_differing(a.rules, b.rules)),
        "layers": {
            "changed": sorted(changed, key=_badness),
            "only_a": only_a,
            "only_b": only_b,
            "same": len(pairs) - len(changed),
        },
        "findings": {
            "gone": _lacking(a.findings, b.findings),
            "came": _lacking(b.findings, a.findings),
        },
    }


def _side(side: Side) -> dict[str, Any]:
    return {**{key: getattr(side, key) for key in ("name", "file_bytes", "cycles")},
            "layers": len(side.layers)}  # fmt: skip


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    names = dict.fromkeys((*a, *b))
    return [(name, a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name)]


def _told(errors: Mapping[str, float | None]) -> dict[str, float | str]:
    return {name: _LOST if error is None else error for name, error in errors.items()}


def _by_growth(rows: Sequence[tuple[str, Any, Any]]) -> list[tuple[str, Any, Any]]:
    return sorted(rows, key=lambda row: _amount(row[1]) - _amount(row[2]))


def _amount(value: float | str | None) -> float:
    return math.inf if value == _LOST else float(value or 0)


def _lacking(mine: Mapping[str, str], other: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, message) for name, message in mine.items() if name not in other]


def _matched(
    a: Sequence[Row], b: Sequence[Row]
) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
    """Layers of the same tensor: of the same shape too where they can be, then by name alone."""
    pairs: list[tuple[Row, Row]] = []
    for exact in (True, False):
        waiting: dict[Any, list[Row]] = {}
        for row in b:
            waiting.setdefault(_key(row, exact), []).append(row)
        left = []
        for row in a:
            found = waiting.get(_key(row, exact))
            if found:
                pairs.append((row, found.pop(0)))
            else:
                left.append(row)
        taken = {id(pair[1]) for pair in pairs}
        a, b = left, [row for row in b if id(row) not in taken]
    return pairs, list(a), list(b)


def _key(row: Row, exact: bool) -> tuple[Any, ...]:
    return (row["tensor"], str(row["shape"])) if exact else (row["tensor"],)


def _changed(a: Row, b: Row) -> dict[str, Any] | None:
    """What is different; a number that one side never measured is no difference."""
    keys = [key for key in _WORDS if a[key] != b[key]]
    keys += [key for key in _NUMBERS if None not in (a[key], b[key]) and a[key] != b[key]]
    if not keys:
        return None
    sides = {"a": {key: a[key] for key in keys}, "b": {key: b[key] for key in keys}}
    return {"tensor": a["tensor"], "op": b["op"], **sides}


def _badness(row: Row) -> tuple[float, ...]:
    """Least where b is the worse by most."""
    a, b = row["a"], row["b"]
    errors = [b.get(key, 0) - a.get(key, 0) for key in ("entire", "single")]
    return (min(errors), *(a.get(key, 0) - b.get(key, 0) for key in ("cycles", "bytes")))
