"""What `./doit runtime` prints of runtime.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.files.console import wrap
from pipelines.report import ends
from quant.report.build_json import BuildReport

_COLUMNS = 80


def lines(name: str, told: Mapping[str, Any], build: BuildReport | None) -> Iterator[str]:
    """build: build.json, where there is one."""
    runtime = told["runtime"]
    whose = "the pinned one" if runtime["is_pinned"] else runtime["file"]
    yield f"{name}: {told['verdict']} ({runtime['name']} {runtime['version'] or '?'}, {whose})"
    if told["because"]:
        yield from wrap(f"  {told['because']}", "  ")
    if told["inputs"] or told["outputs"]:
        yield ""
        yield from ends.lines(told["inputs"], told["outputs"])
    yield ""
    yield from _memory(told["memory"], build)
    if told["layers"]:
        yield from wrap(_layers(told["layers"]), "  ")
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


def _layers(layers: list[Mapping[str, Any]]) -> str:
    on_cpu = Counter(
        one["op"]
        for one in layers
        if one["target"] == "CPU" and one["op"] not in ("InputOperator", "OutputOperator")
    )
    told = ", ".join(f"{count} {name}" for name, count in on_cpu.most_common())
    return f"{len(layers)} layers; on the CPU: {told or 'none'}"
