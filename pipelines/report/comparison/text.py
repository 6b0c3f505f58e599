"""A comparison in 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.files.console import table

_WIDTH = 80
_MOST = 20  # rows of a part
_NAME, _CELL = 26, 25


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    a, b = told["a"], told["b"]
    yield from _table(
        ["", a["name"], b["name"]],
        [
            ["bytes", f"{a['file_bytes']:,}", _grown(a["file_bytes"], b["file_bytes"])],
            ["cycles", _number(a["cycles"]), _grown(a["cycles"], b["cycles"])],
            ["layers", f"{a['layers']}", f"{b['layers']}"],
            *(_row(row) for row in told["about"]),
        ],
    )
    parts = {"ends": "inputs and outputs", "errors": "output error", "kinds": "bytes by kind"}
    for key, title in {**parts, "rules": "rules that fired"}.items():
        yield from _part(title, told[key], is_share=key == "errors")
    yield from _layers(told["layers"])
    for key, title in (("came", "findings that came"), ("gone", "findings that went")):
        for name, message in told["findings"][key]:
            yield ""
            text = f"{title}: {name}: {message}"
            yield from textwrap.wrap(text, _WIDTH, subsequent_indent="  ")


def _part(title: str, rows: Sequence[Sequence[Any]], *, is_share: bool) -> Iterator[str]:
    if not rows:
        return
    yield ""
    made = [_row(row, is_share=is_share) for row in rows[:_MOST]]
    yield from _table([title, "", ""], made)
    yield from _more(len(rows))


def _more(count: int) -> Iterator[str]:
    if count > _MOST:
        yield f"and {count - _MOST} more; --json has all"


def _row(row: Sequence[Any], *, is_share: bool = False) -> list[str]:
    name, a, b = row
    if is_share:
        return [name, *map(_share, (a, b))]
    if isinstance(a or b, int):
        return [name, _number(a), _grown(a, b)]
    return [name, *("-" if one in (None, "") else str(one) for one in (a, b))]


def _share(error: float | str | None) -> str:
    return "-" if error is None else error if isinstance(error, str) else f"{error:.2%}"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _grown(a: int | None, b: int | None) -> str:
    if a is None or b is None or a == b:
        return _number(b)
    return f"{b:,} ({b - a:+,})"


def _layers(told: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    changed = told["changed"]
    yield f"layers: {told['same']} the same, {len(changed)} differ"
    rows = [
        [row["tensor"], *_side_by_side(key, row["a"][key], row["b"][key])]
        for row in changed[:_MOST]
        for key in row["a"]
    ]
    if rows:
        yield from _table(["layer, worst first", "", ""], rows)
    yield from _more(len(changed))
    for key, title in (("only_a", "only in the first"), ("only_b", "only in the second")):
        names = [f"{row['tensor']} ({row['op']})" for row in told[key]]
        shown = [*names[:_MOST], *([f"{len(names) - _MOST} more"] if len(names) > _MOST else [])]
        if names:
            text = f"{title}, {len(names)}: {', '.join(shown)}"
            yield from textwrap.wrap(text, _WIDTH, subsequent_indent="  ")


def _side_by_side(key: str, a: Any, b: Any) -> tuple[str, str]:
    if key in ("entire", "single"):
        return f"{key} {a:.6f}", f"{b:.6f} ({b - a:+.1e})"
    if key in ("cycles", "bytes"):
        return f"{key} {a:,}", _grown(a, b)
    return f"{key} {a}", str(b)


def _table(head: list[str], rows: Sequence[list[str]]) -> Iterator[str]:
    limits = (_NAME, _CELL, _CELL)
    cut = [
        [_short(cell, most) for cell, most in zip(row, limits, strict=True)]
        for row in (head, *rows)
    ]
    yield from table(cut)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"...{text[3 - most :]}"
