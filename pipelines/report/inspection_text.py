"""What `./doit inspect` prints of what pipelines.backends.rknn.file.inspection found."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipelines.files.console import quantity, table, width, wrap
from pipelines.report import ends
from pipelines.report.layer_counts import layer_counts

_MOST_NODES = 8
_LEAST_COLUMN = 16  # characters: of many files no terminal has the room
_FILES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "bytes": lambda told: f"{told['file_bytes']:,}",
    "platform": lambda told: told["platform"],
    "toolkit": lambda told: told["toolkit"],
    "container": lambda told: told["container"],
    "network": lambda told: told["source"],
    "custom string": lambda told: told["custom_string"] or "-",
    "inputs": lambda told: _named(told["inputs"]),
    "outputs": lambda told: _named(told["outputs"]),
    "layers": lambda told: layer_counts(told["layers"]),
}


def lines(told: Mapping[str, Any], path: str) -> Iterator[str]:
    """One file. path: as the user names it."""
    yield f"{told['file']}  {told['file_bytes']:,} bytes"
    yield ""
    yield from _told_by_name(
        {
            "platform": told["platform"],
            "toolkit": f"{told['toolkit']} ({told['compiler']})",
            "container": told["container"],
            "network": told["source"],
            "runtime": told["runtime"],
            "layers": layer_counts(told["layers"]),
            **_said(told),
        }
    )
    if told["digest"]:
        yield f"           see ./doit which {path}"
    yield ""
    yield from ends.lines(told["inputs"], told["outputs"], "network's shape")
    yield ""
    kinds = [(kind, size) for kind, size in told["kinds"].items() if size]
    rows = [[kind, f"{size:,}", f"{size / told['file_bytes']:.1%}"] for kind, size in kinds]
    yield from table([["kind", "bytes", "share"], *rows], right=(1, 2))
    yield ""
    nodes = told["nodes"][:_MOST_NODES]
    largest = [
        [row["node"] or "(no layer's)", row["op"] or "", quantity(row["bytes"])] for row in nodes
    ]
    yield from table([["largest", "", ""], *largest], right=(2,), most=width())
    for found in told["findings"]:
        yield ""
        yield from wrap(f"{found['name']}: {found['message']}", "  ")
        if found["is_cause"]:
            yield from wrap(f"  {found['remedy']}", "  ")


def _said(told: Mapping[str, Any]) -> dict[str, str]:
    if told["digest"]:
        return {"made from": told["digest"]}
    return {"custom string": told["custom_string"] or "-"}


def _told_by_name(told: Mapping[str, str]) -> Iterator[str]:
    """A line each, or more where one is too short."""
    room = max(map(len, told)) + 2
    for name, text in told.items():
        yield from wrap(f"{name:<{room}}{text}", " " * room)


def beside(all_told: Sequence[Mapping[str, Any]], paths: Sequence[str]) -> Iterator[str]:
    """Several files, a column each. paths: as the user names them."""
    rows = [["", *paths]]
    rows += [[name, *(of(told) for told in all_told)] for name, of in _FILES.items()]
    for kind in all_told[0]["kinds"]:
        if any(told["kinds"][kind] for told in all_told):
            rows.append([kind, *(f"{told['kinds'][kind]:,}" for told in all_told)])
    causes = [{one["name"] for one in told["findings"] if one["is_cause"]} for told in all_told]
    rows.append(["causes", *(", ".join(sorted(names)) or "-" for names in causes)])
    yield from table(list(_in_columns(rows)))


def _in_columns(rows: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Each row as so many that all columns have their share of the terminal's width."""
    names = max(len(row[0]) for row in rows)
    room = max((width() - names) // (len(rows[0]) - 1) - 2, _LEAST_COLUMN)
    for name, *cells in rows:
        parts = itertools.zip_longest(*(wrap(cell, most=room) for cell in cells), fillvalue="")
        for number, part in enumerate(parts):
            yield ["" if number else name, *part]


def _named(rows: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{one['name']} {one['shape']} {one['dtype']}" for one in rows)
