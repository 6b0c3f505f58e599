"""How far each tensor of a QDQ network is from the float one's, and which operator does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import onnx
from numpy.typing import NDArray

from pipelines.backends.qdq.jobs.rounded_graph import Layer, RoundedGraph
from quant.execution.run import FloatRun
from quant.graph.analysis.reals import with_outputs
from quant.graph.operators import label, operator
from quant.report.layer_error import Distance, Row, over_samples
from quant.report.metrics import distance

Array = NDArray[Any]
Arrays = Mapping[str, Array]


def layer_errors(
    source: onnx.ModelProto, graph: RoundedGraph, samples: Iterable[Arrays]
) -> tuple[Row, ...]:
    """A row for each tensor that operators make, in order; see quant.report.layer_error.

    source: the float graph. *entire*: the network as a whole; *single*: the operator by itself, on
    the float network's own tensors, rounded. Three runs a sample, and no more memory for many
    samples than for one.
    """
    runs = _Runs(source, graph)
    entire: dict[str, list[Distance]] = {layer.made: [] for layer in graph.layers}
    single: dict[str, list[Distance]] = {layer.made: [] for layer in graph.layers}
    for sample in samples:
        for layer, expected, whole, alone in runs(sample):
            entire[layer.made].append(distance(expected, whole))
            single[layer.made].append(distance(expected, alone))
    return tuple(
        Row(
            id=layer.number if layer.is_first else None,
            part_of=None if layer.is_first else layer.number,
            op=operator(layer.node),
            name=label(layer.node),
            tensor=layer.source,
            dtype=graph.dtype(layer),
            target=None,
            cycles=None,
            size_bytes=graph.constant_bytes(layer) if layer.is_first else None,
            entire=over_samples(entire[layer.made]),
            single=over_samples(single[layer.made]),
        )
        for layer in graph.layers
    )


class _Runs:
    """The float network, the QDQ network, and each of its operators alone."""

    def __init__(self, source: onnx.ModelProto, graph: RoundedGraph) -> None:
        self._layers = graph.layers
        self._real = FloatRun(with_outputs(source, dict.fromkeys(x.source for x in self._layers)))
        self._whole = FloatRun(graph.exposing([layer.rounded for layer in self._layers]))
        alone, self._fed, self._lone = graph.alone()
        self._alone = FloatRun(alone)

    def __call__(self, sample: Arrays) -> Iterable[tuple[Layer, Array, Array, Array]]:
        floats: Arrays = {**sample, **self._real(sample)}
        whole = self._whole(sample)
        given = {name: floats[source] for name, source in self._fed.items()}
        alone = self._alone({**sample, **given})
        for layer in self._layers:
            yield layer, floats[layer.source], whole[layer.rounded], alone[self._lone[layer.made]]
