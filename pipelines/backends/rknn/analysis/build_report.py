"""What build.json tells of a build: the SDK's log and its file, held against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.backends.rknn.file import compiled_graph
from pipelines.backends.rknn.file.compiled_graph import Operator
from pipelines.backends.rknn.sdk import hybrid
from pipelines.backends.rknn.sdk.api import version
from pipelines.backends.rknn.sdk.compile import Compiled
from pipelines.backends.rknn.sdk.refusals import log
from pipelines.backends.rknn.sdk.refusals.log import Compilation
from pipelines.run.jobs.refusal import Refusal
from quant.report.build_json import BuildReport

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
    compiled: Compiled, model: Path, asked: Mapping[str, str], origin: Mapping[str, Any] | None
) -> BuildReport:
    """The report of one build. model: the file that it made. asked: build.layers.
    origin: what model.rknn says where it comes from.

    Raises Refusal where log and file do not describe the same layers.
    """
    printed = compiled.sdk.log
    graphs = compiled_graph.read(model).graphs
    runs = _last(log.compilations(printed), len(graphs))
    for run, graph in zip(runs, graphs, strict=True):
        check_same(run, graph)
    unheeded = hybrid.unheeded(asked, compiled.renamed, runs[0].layers, graphs[0])
    return BuildReport(
        toolkit=version(),
        platform=compiled.config["target_platform"],
        size_bytes=model.stat().st_size,
        **asdict(runs[0]),
        other_shapes=[asdict(run) for run in runs[1:]],
        outputs=[list(operator.outputs) for operator in graphs[0]],
        rules=[*compiled.rules, *(asdict(rule) for rule in log.rules(printed))],
        left_out=compiled.left_out,
        hybrid=dict(asked),
        warnings=[*unheeded, *_telling(log.warnings(printed))],
        errors=_telling(log.errors(printed)),
        config=compiled.config,
        load=compiled.load,
        origin=origin,
    )


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
            f"the SDK's log lists {len(told)} layers, its file holds {len(held)} or other ones",
            "this version of the SDK does something new: see the step's log",
        )


def _telling(sentences: Sequence[str]) -> list[str]:
    return [one for one in sentences if not any(usual in one for usual in USUAL)]
