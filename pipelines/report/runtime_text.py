"""What `./doit runtime` prints of runtime.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.files.console import width, wrap
from pipelines.report import ends
from pipelines.report.layer_counts import layer_counts
from quant.report.build_json import BuildReport

_COLUMNS = 80


def lines(name: str, told: Mapping[str, Any], build: BuildReport | None) -> Iterator[str]:
    """build: build.json, where there is one."""
    runtime = told["runtime"]
    whose = "the pinned one" if runtime["is_pinned"] else runtime["file"]
    said = f"{name}: {told['verdict']}"
    by = f"({runtime['name']} {runtime['version'] or '?'}, {whose})"
    yield from [f"{said} {by}"] if len(said) + len(by) < width() else [said, f"  {by}"]
    if told["because"]:
        yield from wrap(f"  {told['because']}", "  ")
    if told["inputs"] or told["outputs"]:
        yield ""
        yield from ends.lines(told["inputs"], told["outputs"])
    yield ""
    yield from _memory(told["memory"], build)
    if told["layers"]:
        yield from wrap(f"layers: {layer_counts(told['layers'])}", "  ")
    if told["custom_string"]:
        yield from _custom_string(told["custom_string"])
    yield f"needs {told['least_runtime']}"
    for difference in told["differences"]:
        yield from wrap(f"differs: {difference}", "  ")
    yield told["not_told"]


def _custom_string(text: str) -> Iterator[str]:
    """npumake's own, of 72 characters, stands on a line of its own."""
    line = f"custom string: {text}"
    yield from [line] if len(line) <= _COLUMNS else ["custom string:", f"  {text}"]


def _memory(memory: Mapping[str, Any], build: BuildReport | None) -> Iterator[str]:
    totals = (build.totals if build else None) or {}
    for key in ("weights", "internal"):
        size = memory[f"{key}_bytes"]
        if size is not None:
            logged = totals.get(f"{'weight' if key == 'weights' else key}_bytes")
            beside = f" ({int(logged):,} by the build's log)" if logged is not None else ""
            yield f"{key}: {size:,} bytes{beside}"
