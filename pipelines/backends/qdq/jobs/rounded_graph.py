"""A QDQ graph beside the float graph that it was made from: its operators, and what is rounded.

A tensor is looked at behind its QuantizeLinear and DequantizeLinear: a Relu that the quantizer took
out is what the rounding clips, so that before it there is nothing to compare with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from quant.graph.analysis.reals import float_tensors, with_outputs
from quant.graph.graph import Graph
from quant.graph.operators import label, operator
from quant.graph.types import input_types

Array = NDArray[Any]
_ALONE = "_of_a_layer_alone"
_ROUNDS, _RETURNS = "QuantizeLinear", "DequantizeLinear"


@dataclass(frozen=True)
class Layer:
    """An operator's output that stands for a float tensor.

    made: what the operator writes. source: the float tensor. rounded: `made` behind its
    QuantizeLinear and DequantizeLinear, or itself where it stays float. is_first: of the operator's
    outputs. is_integer: whether all that it reads and writes is rounded. number: the operator's.
    """

    node: onnx.NodeProto
    made: str
    source: str
    rounded: str
    number: int
    is_first: bool
    is_integer: bool


class RoundedGraph:
    """source: the float graph. model: the QDQ graph made of it."""

    def __init__(self, source: onnx.ModelProto, model: onnx.ModelProto) -> None:
        self._model = model
        self._graph = Graph(model, is_copied=False)
        given = {name for name, type_ in input_types(source).items() if "float" in type_.dtype}
        self._reals = given | {*float_tensors(Graph(source, is_copied=False))}
        self.layers = tuple(self._layers())

    def _layers(self) -> Iterator[Layer]:
        number = 0
        for node in self._graph.nodes:
            if node.op_type in (_ROUNDS, _RETURNS, "Constant"):
                continue
            found = [(name, *self._seen(name)) for name in node.output if name]
            known = [each for each in found if each[1] in self._reals]
            for made, source, rounded in known:
                is_integer = rounded != made and self._reads_rounded(node)
                is_first = made == known[0][0]
                yield Layer(node, made, source, rounded, number, is_first, is_integer)
            number += bool(known)

    def _seen(self, made: str) -> tuple[str, str]:
        """The float tensor, and where it is seen rounded. An output of the graph is made under
        another name, and has its own behind the rounding."""
        pair = self._pair(made)
        if pair is None:
            return made, made
        rounded = str(pair[1].output[0])
        return (made if made in self._reals else rounded), rounded

    def _pair(self, made: str) -> tuple[onnx.NodeProto, onnx.NodeProto] | None:
        for node in self._graph.consumers(made):
            if node.op_type == _ROUNDS and node.input[0] == made:
                back = [n for n in self._graph.consumers(node.output[0]) if n.op_type == _RETURNS]
                if back:
                    return node, back[0]
        return None

    def _reads_rounded(self, node: onnx.NodeProto) -> bool:
        """No float tensor that another operator, or a caller, gives comes in as it is."""
        producers = {name: self._graph.producer(name) for name in node.input if name}
        return not any(
            name in self._reals and (producer is None or producer.op_type != _RETURNS)
            for name, producer in producers.items()
        )

    @cached_property
    def _constants(self) -> dict[str, onnx.TensorProto]:
        return {tensor.name: tensor for tensor in self._model.graph.initializer}

    def _parameters(self, layer: Layer) -> tuple[float | None, int | None, str]:
        """Scale, zero point and type of the layer's tensor."""
        pair = self._pair(layer.made)
        if pair is None:
            return None, None, self._float_type(layer)
        scale, zero = (numpy_helper.to_array(self._constants[n]) for n in pair[0].input[1:3])
        return float(scale), int(zero), str(zero.dtype)

    def dtype(self, layer: Layer) -> str:
        """What it computes in: the type of its result's codes, its own where any end is float."""
        return self._parameters(layer)[2] if layer.is_integer else self._float_type(layer)

    def _float_type(self, layer: Layer) -> str:
        type_ = self._graph.type(layer.source)
        return "float32" if type_ is None else type_.dtype

    def told(self, layer: Layer) -> dict[str, Any]:
        """The layer's row of build.json."""
        scale, zero_point, dtype = self._parameters(layer)
        return {
            "op": operator(layer.node),
            "name": label(layer.node),
            "tensor": layer.source,
            "dtype": dtype,
            "scale": scale,
            "zero_point": zero_point,
        }

    def constant_bytes(self, layer: Layer) -> int:
        """Of the constants that it reads, also behind a DequantizeLinear, with their scales."""
        names: list[str] = []
        for name in layer.node.input:
            producer = self._graph.producer(name)
            is_held = producer is not None and producer.op_type == _RETURNS
            inputs = producer.input if producer is not None and is_held else [name]
            names += inputs if inputs[0] in self._constants else []
        held = [self._constants[name] for name in dict.fromkeys(names) if name in self._constants]
        return sum(numpy_helper.to_array(tensor).nbytes for tensor in held)

    def exposing(self, tensors: Iterable[str]) -> onnx.ModelProto:
        """The QDQ graph with other outputs."""
        return with_outputs(self._model, dict.fromkeys(tensors))

    def alone(self) -> tuple[onnx.ModelProto, Mapping[str, str], Mapping[str, str]]:
        """Each layer by itself: a graph that is given every tensor that a layer writes, as float
        tensors, rounds them as the QDQ graph does before they are read, and writes the layers'
        own results, rounded, beside them.

        Returns it with: its input -> float tensor; the layer's `made` -> its output.
        """
        model = self.exposing(())
        del model.graph.value_info[:]
        cut = {layer.made: layer for layer in self.layers}
        for node in model.graph.node:
            node.output[:] = [name + _ALONE * (name in cut) for name in node.output]
        outputs = {}
        for made, layer in cut.items():
            outputs[made] = self._rounded_alone(model, layer)
            model.graph.output.add(name=outputs[made])
            value = model.graph.input.add(name=made)
            value.type.tensor_type.elem_type = int(
                onnx.helper.np_dtype_to_tensor_dtype(np.dtype(self._float_type(layer)))
            )
        return model, {made: layer.source for made, layer in cut.items()}, outputs

    def _rounded_alone(self, model: onnx.ModelProto, layer: Layer) -> str:
        """A copy of the pair behind what the layer writes by itself."""
        name = layer.made + _ALONE
        for node in self._pair(layer.made) or ():
            copy = model.graph.node.add()
            copy.CopyFrom(node)
            copy.name += _ALONE
            copy.input[0] = name
            name = node.output[0] + _ALONE
            copy.output[:] = [name]
        return name
