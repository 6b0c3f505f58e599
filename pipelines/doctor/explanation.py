"""The present build explained: from the ONNX file's bytes to the artifact's, and by whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.files import console
from pipelines.recipe.define.model import Recipe, Target
from pipelines.stages.stage import built
from quant.report import bytes_report, layer_error

_BAR = 24
_OWN = "payload"
_TOP = 8


def lines(root: Path, recipe: Recipe, target: Target) -> Iterator[str]:
    """A waterfall of kinds, the nodes that take most, and the findings."""
    place = root / built(recipe, f"{target.name}/report/bytes.json")
    report = bytes_report.read(place)
    total, source = report.file_bytes, report.source_bytes
    yield (
        f"{recipe.model}@{target.name}: {console.quantity(source)} of ONNX became "
        f"{console.quantity(total)} ({total / source:.1f}x)"
    )
    yield ""
    yield from _waterfall(report.kinds, source, total)
    yield ""
    yield "by node of the ONNX file:"
    nodes = [[_name(node), *_row("", node["bytes"], total)[1:]] for node in report.nodes]
    yield from console.table(nodes[:_TOP], right=(1, 2))
    if len(nodes) > _TOP:
        yield f"  and {len(nodes) - _TOP} more; all in {place.relative_to(root)}"
    yield ""
    for finding in report.findings:
        yield from _finding(finding)
    yield from accuracy(root, recipe, target)


def accuracy(root: Path, recipe: Recipe, target: Target) -> Iterator[str]:
    """The findings about accuracy."""
    layers = root / built(recipe, f"{target.name}/report/layers.json")
    for finding in layer_error.read(layers).causes:
        yield from _finding(finding)


def _waterfall(kinds: Mapping[str, int], source: int, total: int) -> list[str]:
    """From the ONNX file to the artifact: the network's own numbers, then all that came to them."""
    added = sorted((kind for kind in kinds if kinds[kind]), key=lambda kind: -kinds[kind])
    ordered = sorted(added, key=lambda kind: kind != _OWN)
    rows = [[*_row("ONNX file", source, total)[:2], "", ""]]
    reached = 0
    for kind in ordered:
        start, reached = reached, reached + kinds[kind]
        rows.append([*_row(f"+ {kind}", kinds[kind], total)[:3], _bar(start, reached, total)])
    rows.append(_row("= artifact", total, total))
    return console.table(rows, right=(1, 2))


def _finding(finding: Mapping[str, Any]) -> Iterator[str]:
    """A cause with why and what to do; of what is no cause, one sentence."""
    mark = "cause:" if finding["is_cause"] else "no cause:"
    yield from console.wrap(f"{mark} {finding['message']}", "  ")
    if finding.get("because"):
        yield f"  a consequence of {finding['because']}, above"
    elif finding["is_cause"]:
        for sentence in (f"  why: {finding['why']}", f"  what to do: {finding['remedy']}"):
            yield from console.wrap(sentence, "    ")


def _name(node: Mapping[str, Any]) -> str:
    """Bytes that belong to no node are the file's own."""
    return f"  {node['op']} {node['node']}" if node["node"] else "  (the file itself)"


def _row(name: str, size: int, total: int) -> list[str]:
    return [f"  {name}", console.quantity(size), f"{size / total:.1%}", _bar(0, size, total)]


def _bar(start: int, end: int, total: int) -> str:
    """The stretch from start to end of a line that stands for the whole."""
    first, last = (round(place / total * _BAR) for place in (start, end))
    return " " * first + "#" * (last - first)
