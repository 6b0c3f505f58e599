"""What `./doit inspect` prints of what pipelines.backends.rknn.file.inspection found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipelines.files.console import quantity, table, wrap

_MOST_NODES = 8
_FILES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "bytes": lambda told: f"{told['file_bytes']:,}",
    "platform": lambda told: told["platform"],
    "toolkit": lambda told: told["toolkit"],
    "container": lambda told: told["container"],
    "network": lambda told: told["source"],
    "custom string": lambda told: told["custom_string"] or "-",
    "inputs": lambda told: _ends(told["inputs"]),
    "outputs": lambda told: _ends(told["outputs"]),
    "layers": lambda told: _layers(told["layers"]),
}


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """One file."""
    yield f"{told['file']}  {told['file_bytes']:,} bytes"
    yield ""
    yield from table(
        [
            ["platform", told["platform"]],
            ["toolkit", f"{told['toolkit']} ({told['compiler']})"],
            ["container", told["container"]],
            ["network", told["source"]],
            *_said(told),
            ["runtime", told["runtime"]],
            ["layers", _layers(told["layers"])],
        ]
    )
    yield ""
    yield from table(
        [*_tensor_rows("input", told["inputs"]), *_tensor_rows("output", told["outputs"])]
    )
    yield ""
    kinds = [(kind, size) for kind, size in told["kinds"].items() if size]
    rows = [[kind, f"{size:,}", f"{size / told['file_bytes']:.1%}"] for kind, size in kinds]
    yield from table([["kind", "bytes", "share"], *rows], right=(1, 2))
    yield ""
    nodes = told["nodes"][:_MOST_NODES]
    largest = [
        [row["node"] or "(no layer's)", row["op"] or "", quantity(row["bytes"])] for row in nodes
    ]
    yield from table([["largest", "", ""], *largest], right=(2,))
    for found in told["findings"]:
        yield ""
        yield from wrap(f"{found['name']}: {found['message']}", "  ")
        if found["is_cause"]:
            yield from wrap(f"  {found['remedy']}", "  ")


def _said(told: Mapping[str, Any]) -> list[list[str]]:
    if told["digest"]:
        return [["made from", told["digest"]], ["", f"see ./doit which {told['file']}"]]
    return [["custom string", told["custom_string"] or "-"]]


def beside(all_told: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Several files, a column each."""
    rows = [["", *(told["file"] for told in all_told)]]
    rows += [[name, *(of(told) for told in all_told)] for name, of in _FILES.items()]
    for kind in all_told[0]["kinds"]:
        if any(told["kinds"][kind] for told in all_told):
            rows.append([kind, *(f"{told['kinds'][kind]:,}" for told in all_told)])
    causes = [{one["name"] for one in told["findings"] if one["is_cause"]} for told in all_told]
    rows.append(["causes", *(", ".join(sorted(names)) or "-" for names in causes)])
    yield from table(rows)


def _tensor_rows(side: str, ends: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    for end in ends:
        yield [side, end["name"], str(end["shape"]), end["dtype"], end["layout"], _scale(end)]


def _scale(end: Mapping[str, Any]) -> str:
    scale, zero_point = end["scale"], end["zero_point"]
    if scale is None:
        return ""
    if isinstance(scale, list):
        return f"{len(scale)} scales"
    return f"scale {scale:.9g}, zero point {zero_point or 0}"


def _ends(ends: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{one['name']} {one['shape']} {one['dtype']}" for one in ends)


def _layers(layers: Sequence[Mapping[str, Any]]) -> str:
    """`60: 48 NPU, 12 CPU (10 Reshape, 2 Softmax)`, inputs and outputs left out."""
    own = [one for one in layers if one["op"] not in ("InputOperator", "OutputOperator")]
    targets = Counter(one["target"] for one in own)
    told = ", ".join(f"{count} {name}" for name, count in sorted(targets.items(), reverse=True))
    on_cpu = Counter(one["op"] for one in own if one["target"] == "CPU")
    operators = ", ".join(f"{count} {name}" for name, count in on_cpu.most_common())
    return f"{len(own)}: {told}" + (f" ({operators})" if operators else "")
