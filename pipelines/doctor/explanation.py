"""The present build explained: from the ONNX file's bytes to the artifact's, and by whom."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines import console
from pipelines.recipe.model import Recipe, Target
from pipelines.stages.stage import built

_BAR = 24
_TOP = 8


def lines(root: Path, recipe: Recipe, target: Target) -> Iterator[str]:
    """A waterfall of kinds, the nodes that take most, and the findings."""
    place = root / built(recipe, f"{target.name}/report/bytes.json")
    ledger: dict[str, Any] = json.loads(place.read_text())
    total = ledger["file_bytes"]
    source = ledger["source_bytes"]
    yield (
        f"{recipe.model}@{target.name}: {console.quantity(source)} of ONNX became "
        f"{console.quantity(total)} ({total / source:.1f}x)"
    )
    yield ""
    kinds = sorted(ledger["kinds"].items(), key=lambda item: -item[1])
    yield from console.table(
        [_row(kind, size, total) for kind, size in kinds if size], right=(1, 2)
    )
    yield ""
    yield "by node of the ONNX file:"
    nodes = [[_name(node), *_row("", node["bytes"], total)[1:]] for node in ledger["nodes"]]
    yield from console.table(nodes[:_TOP], right=(1, 2))
    if len(nodes) > _TOP:
        yield f"  and {len(nodes) - _TOP} more; all in {place.relative_to(root)}"
    yield ""
    for finding in ledger["findings"]:
        yield from _finding(finding)


def _finding(finding: dict[str, Any]) -> Iterator[str]:
    """A cause with why and what to do; of what is no cause, one sentence."""
    width = min(console.width(), 100)
    mark = "cause:" if finding["is_cause"] else "no cause:"
    yield from textwrap.wrap(f"{mark} {finding['message']}", width, subsequent_indent="  ")
    if finding["is_cause"]:
        for sentence in (f"why: {finding['why']}", f"what to do: {finding['remedy']}"):
            yield from textwrap.wrap(sentence, width, initial_indent="  ", subsequent_indent="    ")


def _name(node: dict[str, Any]) -> str:
    """Bytes that belong to no node are the file's own."""
    return f"  {node['op']} {node['node']}" if node["node"] else "  (the file itself)"


def _row(name: str, size: int, total: int) -> list[str]:
    share = size / total
    return [f"  {name}", console.quantity(size), f"{share:.1%}", "#" * round(share * _BAR)]
