"""How far each tensor of the integer network is from the float one's, and which layer does it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.execution.run import FloatRun
from quant.fixed_point.network import network as net
from quant.fixed_point.network.network import Network, integer_names
from quant.fixed_point.onnx.to_onnx import to_isolated_onnx, to_onnx
from quant.graph.analysis.reals import with_outputs
from quant.report.layer_error import Distance, Error, Row, over_samples
from quant.report.metrics import distance

Array = NDArray[Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class _Layer:
    """An operation whose output stands for a float tensor."""

    operation: net.Operation
    tensor: net.Tensor
    source: str
    scale: float

    def distance(self, floats: Arrays, codes: Array) -> Distance:
        """Of the codes' reals from the float tensor."""
        return distance(floats[self.source], codes / np.float32(self.scale))


def layer_errors(
    model: onnx.ModelProto, network: Network, samples: Iterable[Arrays]
) -> tuple[Row, ...]:
    """A row for each operation that makes a tensor of the float network, in order.

    model: the float graph that `network` was lowered from. *entire*: the network as a whole;
    *single*: the operation alone, on the float network's own tensors, quantized. Three runs a
    sample, and no more memory for many samples than for one.
    """
    layers = tuple(_layers(network))
    runs = _Runs(model, network, layers)
    entire: list[list[Distance]] = [[] for _ in layers]
    single: list[list[Distance]] = [[] for _ in layers]
    for sample in samples:
        floats, whole, alone = runs(sample)
        for i, layer in enumerate(layers):
            entire[i].append(layer.distance(floats, whole[i]))
            single[i].append(layer.distance(floats, alone[i]))
    errors = zip(layers, map(over_samples, entire), map(over_samples, single), strict=True)
    return tuple(_row(number, *each) for number, each in enumerate(errors))


class _Runs:
    """The float network, the integer one, and each of its operations alone."""

    def __init__(self, model: onnx.ModelProto, network: Network, layers: Sequence[_Layer]) -> None:
        inputs = {value.name for value in model.graph.input}
        sources = dict.fromkeys(t.source for t in network.tensors.values() if t.source)
        self._real = FloatRun(with_outputs(model, [s for s in sources if s not in inputs]))
        names = integer_names(network)
        self._names = [names[layer.tensor.name] for layer in layers]
        self._whole = FloatRun(with_outputs(to_onnx(network, "whole"), self._names))
        alone, made = to_isolated_onnx(network, "alone")
        self._fed = [value.name for value in alone.graph.input]
        self._lone = [made[layer.tensor.name] for layer in layers]
        self._alone = FloatRun(alone)

    def __call__(self, sample: Arrays) -> tuple[Arrays, list[Array], list[Array]]:
        """The float tensors by name; each layer's codes in the whole network, and alone."""
        floats = {**sample, **self._real(sample)}
        whole = self._whole(sample)
        alone = self._alone({name: floats[name] for name in self._fed})
        return floats, [whole[name] for name in self._names], [alone[name] for name in self._lone]


def _layers(network: Network) -> Iterator[_Layer]:
    for operation in network.operations:
        tensor = network.tensors[operation.output]
        if tensor.source is not None and tensor.scale is not None:
            yield _Layer(operation, tensor, tensor.source, float(tensor.scale))


def _row(number: int, layer: _Layer, entire: Error, single: Error) -> Row:
    operation = layer.operation
    return Row(
        id=number,
        part_of=None,
        op=type(operation).__name__,
        name=operation.output,
        tensor=layer.tensor.source,
        dtype="float32" if isinstance(operation, net.FloatNode) else "int8",
        target=None,
        cycles=None,
        size_bytes=constant_bytes(operation),
        entire=entire,
        single=single,
    )


def constant_bytes(operation: net.Operation) -> int:
    """One byte a weight or table entry, four bytes each for biases, shifts and multipliers."""
    codes = (getattr(operation, name, None) for name in ("weight", "table"))
    small = sum(array.size for array in codes if array is not None)
    rescale = getattr(operation, "rescale", None)
    fields = ("shift", "multiplier", "bias", "bias_after") if rescale is not None else ()
    arrays = (getattr(rescale, name) for name in fields)
    return int(small + 4 * sum(array.size for array in arrays if array is not None))
