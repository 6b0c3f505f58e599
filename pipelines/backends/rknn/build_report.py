"""build.json: what the SDK printed while it compiled, as data.

    toolkit, platform          versions and names of what built it
    bytes                      length of model.rknn
    layers, features,          the compiler's tables, see pipelines.backends.rknn.log; for
    constants, totals          dynamic_input those of the largest shape
    other_shapes               the same four for each further shape of dynamic_input
    outputs                    for each layer, in order: the names of the tensors that it makes
    rules                      rewrites that fired: {rule, removed, added}
    hybrid                     tensor -> dtype, as the recipe asks (build.layers)
    config, load               arguments of the SDK's config and load_*
    warnings, errors           sentences; errors are those that the SDK printed and went on after
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.backends.rknn import compiled_graph, hybrid, log
from pipelines.backends.rknn.compiled_graph import Operator
from pipelines.backends.rknn.log import Compilation
from pipelines.jobs.refusal import Refusal

# Printed in every build, of no consequence.
USUAL = (
    "Set temperate env",
    "Restore temperate env",
    "Unkown op target",
    "===== WARN",
    "config.mean_values is None",
    "config.std_values is None",
)


def make(
    printed: str, model: Path, rules: Sequence[Mapping[str, Any]], asked: Mapping[str, str]
) -> dict[str, Any]:
    """The report of one build, without the keys that the log doesn't hold.

    printed: the build's log. rules: those that fired in an earlier call. asked: build.layers.
    Raises Refusal where log and file do not describe the same layers.
    """
    graphs = compiled_graph.read(model).graphs
    compiled = _last(log.compilations(printed), len(graphs))
    for one, graph in zip(compiled, graphs, strict=True):
        check_same(one, graph)
    first, graph = compiled[0], graphs[0]
    return {
        "bytes": model.stat().st_size,
        **tables(first),
        "other_shapes": [tables(one) for one in compiled[1:]],
        "outputs": [list(operator.outputs) for operator in graph],
        "rules": [*rules, *(asdict(rule) for rule in log.rules(printed))],
        "hybrid": dict(asked),
        "warnings": [*hybrid.unheeded(asked, first.layers, graph), *usable(log.warnings(printed))],
        "errors": usable(log.errors(printed)),
    }


def _last(found: Sequence[Compilation], count: int) -> Sequence[Compilation]:
    """auto_hybrid compiles several times; the last runs made the file."""
    if len(found) < count or not count:
        raise Refusal(
            f"the SDK's log has {len(found)} layer tables for a file with {count} graphs",
            "this version of the SDK prints something new: see the step's log",
        )
    return found[-count:]


def check_same(compiled: Compilation, graph: Sequence[Operator]) -> None:
    """Raise Refusal unless the log's layers are the file's operators, in the same order."""
    told = [(layer.op_type, layer.full_name) for layer in compiled.layers]
    held = [(operator.op_type, operator.name) for operator in graph]
    if told != held:
        raise Refusal(
            f"the SDK's log lists {len(told)} layers and the file it wrote holds {len(held)}, or others",
            "this version of the SDK does something new: see the step's log",
        )


def tables(compiled: Compilation) -> dict[str, Any]:
    return asdict(compiled)


def usable(sentences: Sequence[str]) -> list[str]:
    return [one for one in sentences if not any(usual in one for usual in USUAL)]


def write(report: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
