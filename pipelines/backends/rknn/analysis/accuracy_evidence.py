"""What the causes of lost accuracy look at, from what quantize and analyze have made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from pipelines.backends.rknn.findings.accuracy.evidence import (
    Evidence,
    Layer,
    Operation,
    Range,
    SourceScale,
)
from pipelines.backends.rknn.sdk import hybrid
from quant.graph import file as graph_file
from quant.graph.analysis import quantized
from quant.graph.graph import attribute
from quant.report.build_json import BuildReport
from quant.report.layer_error import LayerReport
from quant.report.target_metrics import Metrics
from quant.rknn import file as rknn_file
from quant.rknn import scales
from quant.samples.input import Input
from quant.simulation import parameters
from quant.simulation.unknown import Unknown


def gather(
    quantize: Path | None,
    build: BuildReport,
    metrics: Metrics,
    report: LayerReport,
    lost: Sequence[str],
    inputs: Mapping[str, Input],
    samples: Mapping[str, Mapping[str, Any]],
    source_scales: Sequence[SourceScale] = (),
    spans: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
) -> Evidence:
    """quantize: what step 1 wrote, None where one call makes the file."""
    graph = hybrid.load_graph(quantize / "model.model") if quantize else onnx.GraphProto()
    names = hybrid.output_names(graph)
    return Evidence(
        metrics,
        [*build.errors, *build.warnings],
        dict(_ranges(quantize, names)) if quantize else {},
        list(_operations(graph, names)),
        list(_layers(report)),
        inputs,
        samples,
        lost,
        source_scales,
        {names.get(name, name): span for name, span in (spans or {}).items()},
        json.loads((quantize / "calibration.json").read_text())["samples"] if quantize else None,
    )


def source_scales(source: Path, file: Path) -> list[SourceScale]:
    """source: an ONNX file that was quantized before; file: the .rknn made of it."""
    held = scales.of_tensors(rknn_file.read(file))
    return [
        SourceScale(
            one.names[0],
            (one.scale, one.signed_zero_point),
            next((held[name] for name in one.names if name in held), None),
        )
        for one in quantized.activations(graph_file.parse(source, source.name))
    ]


def _ranges(quantize: Path, names: Mapping[str, str]) -> Iterator[tuple[str, Range]]:
    try:
        held = parameters.read((quantize / "model.quantization.cfg").read_text())
    except Unknown:
        return
    for name, one in held.items():
        if one.dtype == "int8":
            yield names.get(name, name), Range(one.scale, one.low, one.high, *one.seen)


def _operations(graph: onnx.GraphProto, names: Mapping[str, str]) -> Iterator[Operation]:
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        mode = attribute(node, "mode", "")
        yield Operation(
            node.op_type,
            [names.get(one, one) for one in node.input if one and one not in constants],
            [names.get(one, one) for one in node.output],
            str(mode),
        )


def _layers(report: LayerReport) -> Iterator[Layer]:
    for row in report.layers:
        worst = [one.cosine_worst if one else None for one in (row.entire, row.single)]
        if row.tensor and worst[0] is not None and worst[1] is not None:
            yield Layer(row.tensor, worst[0], worst[1])
