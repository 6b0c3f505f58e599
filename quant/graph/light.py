"""A graph without the bytes of its large weights, for tools that look at its structure alone.

onnx's checker and shape inference, and the simplifiers, each write a model to bytes and parse it
again; in large networks nearly all of these are weights that none of them looks at.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import Any

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]
from onnx import helper

from quant.graph.names import uses

LARGE = 1 << 16  # bytes

_WIDTHS: dict[int, int] = {onnx.TensorProto.FLOAT: 4, onnx.TensorProto.FLOAT16: 2}

Weights = Mapping[str, onnx.TensorProto]


def large_weights(
    model: onnx.ModelProto, *, are_inputs_too: bool = False
) -> dict[str, onnx.TensorProto]:
    """The large float weights of the main graph, sound ones only: the checker is to see others.

    are_inputs_too: also those that the graph lists as inputs, as ONNX before IR 4 did.
    """
    graph = model.graph
    count = Counter(tensor.name for tensor in graph.initializer)
    shown = {value.name for value in graph.output}
    if not are_inputs_too:
        shown.update(value.name for value in graph.input)
    return {
        tensor.name: tensor
        for tensor in graph.initializer
        if count[tensor.name] == 1 and tensor.name not in shown and _is_large(tensor)
    }


def _is_large(tensor: onnx.TensorProto) -> bool:
    width = _WIDTHS.get(tensor.data_type)
    if width is None or tensor.data_location != onnx.TensorProto.DEFAULT:
        return False
    bytes_ = math.prod(tensor.dims) * width
    return bool(bytes_ >= LARGE and len(tensor.raw_data) == bytes_)


def unfolded_weights(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Those of them that no simplifier computes with: what reads them varies with the input.

    Left out are weights that may be equal to another, since simplifiers make one of these.
    """
    varying = {value.name for value in model.graph.input}
    folded: set[str] = set()
    for node in model.graph.node:
        read = uses(node)
        if varying.isdisjoint(read):
            folded |= read
        else:
            varying.update(node.output)
    found = large_weights(model)
    alike = Counter(_look(tensor) for tensor in found.values())
    return {
        name: tensor
        for name, tensor in found.items()
        if name not in folded and alike[_look(tensor)] == 1
    }


def _look(tensor: onnx.TensorProto) -> tuple[object, ...]:
    data = tensor.raw_data
    return tensor.data_type, tuple(tensor.dims), data[:64], data[-64:]


def without(model: onnx.ModelProto, weights: Container[str]) -> onnx.ModelProto:
    """A copy in which these weights are inputs, after those that the graph has."""
    graph, light = model.graph, onnx.ModelProto()
    inputs = {value.name for value in graph.input}
    for field, value in model.ListFields():
        if field.name != "graph":
            _copy(light, field.name, value)
    for field, value in graph.ListFields():
        if field.name != "initializer":
            _copy(light.graph, field.name, value)
    for tensor in graph.initializer:
        if tensor.name not in weights:
            light.graph.initializer.append(tensor)
        elif tensor.name not in inputs:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            light.graph.input.append(value)
    return light


def put_back(light: onnx.ModelProto, weights: Weights, order: Iterable[str]) -> None:
    """Undo `without` in place, on what a tool made of it: weights that nothing reads stay away.

    order: names of the weights as they stood before; those that are new follow.
    """
    graph = light.graph
    read = {name for node in graph.node for name in uses(node)}
    read |= {value.name for value in graph.output}
    inputs = [value for value in graph.input if value.name not in weights]
    held = {tensor.name: tensor for tensor in graph.initializer}
    held |= {name: tensor for name, tensor in weights.items() if name in read}
    del graph.input[:]
    graph.input.extend(inputs)
    place = {name: number for number, name in enumerate(order)}
    names = sorted(held, key=lambda name: place.get(name, len(place)))
    kept = [held[name] for name in names]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def byte_size(model: onnx.ModelProto) -> int:
    """model.ByteSize(), which writes all of the model to count it."""
    weights = large_weights(model)
    light = without(model, weights)
    del light.graph.input[len(light.graph.input) - len(weights) :]
    graph, inside = light.graph.ByteSize(), 0
    for tensor in weights.values():
        bare = onnx.TensorProto()
        for field, value in tensor.ListFields():
            if field.name != "raw_data":
                _copy(bare, field.name, value)
        data = math.prod(tensor.dims) * _WIDTHS[tensor.data_type]
        inside += _field(bare.ByteSize() + _field(data))
    return int(light.ByteSize() - _field(graph) + _field(graph + inside))


def _field(length: int) -> int:
    """Bytes of a field of that many bytes: a tag of one, its length in sevens of bits, itself."""
    return 1 + max(1, -(-length.bit_length() // 7)) + length


def _copy(target: Any, name: str, value: Any) -> None:
    """Copy one field of a message."""
    if isinstance(value, (bytes, int, str)):
        setattr(target, name, value)
    elif isinstance(value, Message):
        getattr(target, name).CopyFrom(value)
    else:
        getattr(target, name).extend(value)
