"""Where two files of the same build differ: by tensor and node, by key, or by place."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.backends.rknn.file import inspection
from quant.fault import Fault
from quant.rknn import file as rknn_file

_MOST = 5  # rows that are told of one file
_ABSENT = object()


def between(old: Path, new: Path) -> list[str]:
    """Sentences; empty where both are the same. A folder's files are told each."""
    if old.is_dir() and new.is_dir():
        return [line for name in _names(old, new) for line in _inside(old / name, new / name, name)]
    before, after = old.read_bytes(), new.read_bytes()
    if before == after:
        return []
    if old.suffix == ".rknn":
        found = list(_of_rknn(old, before, after))
    elif old.suffix == ".json":
        found = list(_of_json(before, after))
    else:
        found = []
    return [*_first(found), _bytes(before, after)]


def _names(old: Path, new: Path) -> list[str]:
    files = (file.relative_to(top) for top in (old, new) for file in top.rglob("*"))
    return sorted({name.as_posix() for name in files if not (old / name).is_dir()})


def _inside(old: Path, new: Path, name: str) -> list[str]:
    if not (old.is_file() and new.is_file()):
        return [f"{name}: only in {'what was rebuilt' if new.is_file() else 'what was recorded'}"]
    return [f"{name}: {line}" for line in between(old, new)]


def _first(found: list[str]) -> list[str]:
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return [*found[:_MOST], *more]


def _bytes(before: bytes, after: bytes) -> str:
    places = [i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b]
    if len(before) != len(after):
        at = places[0] if places else min(len(before), len(after))
        return f"{len(before):,} bytes became {len(after):,}; the first other one is at {at:,}"
    return f"{len(places):,} of {len(before):,} bytes are others, from {places[0]:,} on"


def _of_rknn(old: Path, before: bytes, after: bytes) -> Iterator[str]:
    """By the ledger: the node whose tensor a byte is in."""
    try:
        file = rknn_file.parse(before, old.name)
        rows = inspection.inspect(old)["tensors"]
    except Fault:
        return
    owners: Counter[str] = Counter()
    places = (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
    spans = [(row["offset"], row["offset"] + row["bytes"], row) for row in rows if row["bytes"]]
    for place in places:
        row = next((row for start, end, row in spans if start <= place < end), None)
        owners[_owner(row, place, file.trailer)] += 1
    for name, count in owners.most_common():
        yield f"{count:,} bytes in {name}"


def _owner(row: dict[str, Any] | None, place: int, trailer: int) -> str:
    if row is not None:
        of = f" of `{row['node']}`" if row["node"] else ""
        return f"the tensor `{row['name']}` ({row['kind']}){of}"
    return "the JSON at the end" if place >= trailer else "the file's structure"


def _of_json(before: bytes, after: bytes) -> Iterator[str]:
    try:
        old, new = json.loads(before), json.loads(after)
    except ValueError:
        return
    yield from _keys("", old, new)


def _keys(at: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _keys(f"{at}.{key}".lstrip("."), *(d.get(key, _ABSENT) for d in (old, new)))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _keys(f"{at}[{i}]", one, other)
    elif old is _ABSENT or new is _ABSENT or old != new:
        yield f"`{at}` {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = "(none)" if value is _ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
