"""A graph that can be asked who makes and who reads a tensor, and be changed."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper, shape_inference

from quant.graph.names import drop_unneeded, free_name, uses
from quant.graph.operators import opset
from quant.graph.types import TensorType, numpy_dtype, tensor_type

Array = npt.NDArray[np.generic]

# Shape arithmetic that inference must see the values of is never larger.
_LARGEST_SHAPE_DATA = 4096


class Graph:
    """A model's main graph, copied: changes reach the caller by `to_model` alone.

    `nodes` is in topological order and changes only by `replace`. Nodes of subgraphs (If, Loop) are
    not listed, but a node that holds a subgraph reads what that takes from outside. `tail` is what
    `cut` took off.
    """

    def __init__(self, model: onnx.ModelProto, *, is_copied: bool = True) -> None:
        """is_copied: False saves time where the graph is only asked, never changed."""
        self._model = onnx.ModelProto() if is_copied else model
        if is_copied:
            self._model.CopyFrom(model)
        self.nodes: tuple[onnx.NodeProto, ...] = tuple(self._model.graph.node)
        self.inputs = tuple(value.name for value in model.graph.input)
        self.outputs = tuple(value.name for value in model.graph.output)
        self.tail: onnx.ModelProto | None = None
        self.opset = opset(model)
        # An initializer that is a graph input too can be overridden by the caller: no constant.
        self._weights = {
            tensor.name: tensor
            for tensor in self._model.graph.initializer
            if tensor.name not in self.inputs
        }
        self._given: dict[str, None] = dict.fromkeys(self.inputs)  # and what was promised
        self._types: dict[str, TensorType] | None = None
        self._index()

    def producer(self, tensor: str) -> onnx.NodeProto | None:
        """The node that makes a tensor; None for inputs and weights."""
        return self._producers.get(tensor)

    def consumers(self, tensor: str) -> Sequence[onnx.NodeProto]:
        """The nodes that read a tensor, in order, each once."""
        return self._consumers.get(tensor, ())

    def is_output(self, tensor: str) -> bool:
        return tensor in self.outputs

    def constant(self, tensor: str) -> Array | None:
        """A tensor's value where it is fixed: a weight or a Constant node's. Else None."""
        if tensor in self._weights:
            return np.asarray(numpy_helper.to_array(self._weights[tensor]))
        node = self.producer(tensor)
        if node is None or node.op_type != "Constant":
            return None
        return constant_value(node)

    def constant_shape(self, tensor: str) -> tuple[int, ...] | None:
        """Of what `constant` gives, without its numbers where it is a weight."""
        if tensor in self._weights:
            return tuple(self._weights[tensor].dims)
        value = self.constant(tensor)
        return None if value is None else value.shape

    def type(self, tensor: str) -> TensorType | None:
        """Shape and element type by shape inference, None where that is not known."""
        if self._types is None:
            self._types = self._inferred()
        return self._types.get(tensor)

    def add_constant(self, hint: str, value: Array) -> str:
        """Add a weight. Returns its name: `hint`, or one like it that is free."""
        name = self._fresh(hint)
        tensor = numpy_helper.from_array(value, name)
        self._model.graph.initializer.append(tensor)
        self._weights[name] = tensor
        return name

    def fresh_tensor(self, hint: str) -> str:
        """A tensor name that nothing bears yet."""
        return self._fresh(hint)

    def replace(self, old: Iterable[onnx.NodeProto], new: Sequence[onnx.NodeProto]) -> None:
        """Put `new`, in order, where the last of `old` stood, and drop the `old`."""
        gone = {id(node) for node in old}
        places = [i for i, node in enumerate(self.nodes) if id(node) in gone]
        if len(places) != len(gone):
            raise ValueError("a node to be replaced is not in the graph")
        kept = [node for node in self.nodes[: places[-1]] if id(node) not in gone]
        dropped = [self.nodes[place] for place in places]
        self.nodes = (*kept, *new, *self.nodes[places[-1] + 1 :])
        self._exchange(dropped, new)

    def cut(self, nodes: Iterable[onnx.NodeProto], outputs: Sequence[str]) -> None:
        """Take off `nodes`, which no other node reads, and put out `outputs` instead.

        `tail` becomes the model of what was taken off: it makes those of the former outputs that
        are not among the new, from the new. The types of `outputs` must be known.
        """
        gone = {id(node) for node in nodes}
        values = [_value(name, self.type(name)) for name in outputs]
        tail = onnx.ModelProto()
        tail.CopyFrom(self._model)
        del tail.graph.node[:], tail.graph.input[:], tail.graph.value_info[:]
        tail.graph.node.extend(node for node in self.nodes if id(node) in gone)
        tail.graph.input.extend(values)
        former = [value for value in tail.graph.output if value.name not in outputs]
        del tail.graph.output[:]
        tail.graph.output.extend(former)
        drop_unneeded(tail)
        self.tail = tail
        del self._model.graph.output[:]
        self._model.graph.output.extend(values)
        self.outputs = tuple(outputs)
        self.nodes = tuple(node for node in self.nodes if id(node) not in gone)
        self._index()

    def to_model(self) -> onnx.ModelProto:
        """The model with every change, without what no output depends on any more."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        del model.graph.node[:]
        model.graph.node.extend(self.nodes)
        drop_unneeded(model, keep_inputs=True)
        return model

    def _fresh(self, hint: str) -> str:
        name = free_name(
            hint, ChainMap[str, Any](self._producers, self._consumers, self._weights, self._given)
        )
        self._given[name] = None
        return name

    def _index(self) -> None:
        self._producers: dict[str, onnx.NodeProto] = {}
        self._consumers: dict[str, list[onnx.NodeProto]] = {}
        self._reads: dict[int, set[str]] = {}  # id of a node -> what it reads
        self._exchange((), self.nodes)

    def _exchange(self, old: Sequence[onnx.NodeProto], new: Sequence[onnx.NodeProto]) -> None:
        """Bring the index up to date: a thousand rewrites would each read thousands of nodes."""
        for node in old:
            for name in node.output:
                if self._producers.get(name) is node:
                    del self._producers[name]
            for name in self._reads.pop(id(node)):
                rest = [reader for reader in self._consumers[name] if reader is not node]
                self._consumers[name] = rest
                if not rest:
                    del self._consumers[name]
        joined: set[str] = set()
        for node in new:
            self._producers.update((name, node) for name in node.output if name)
            reads = self._reads[id(node)] = uses(node)
            for name in reads:
                readers = self._consumers.setdefault(name, [])
                readers.append(node)
                if len(readers) > 1:
                    joined.add(name)
        if joined and len(new) < len(self.nodes):
            self._sort(joined)
        self._types = None

    def _sort(self, names: Iterable[str]) -> None:
        """Put the readers of tensors into the graph's order."""
        places = {id(node): place for place, node in enumerate(self.nodes)}
        for name in names:
            self._consumers[name].sort(key=lambda reader: places[id(reader)])

    def _inferred(self) -> dict[str, TensorType]:
        """Types of all tensors. Large weights go in as inputs: their values prove no shapes."""
        bare = onnx.ModelProto()
        bare.ir_version = self._model.ir_version
        bare.opset_import.extend(self._model.opset_import)
        bare.functions.extend(self._model.functions)
        graph = bare.graph
        graph.input.extend(self._model.graph.input)
        graph.output.extend(self._model.graph.output)
        graph.node.extend(self.nodes)
        for tensor in self._model.graph.initializer:
            if np.prod(tensor.dims, dtype=np.int64) <= _LARGEST_SHAPE_DATA:
                graph.initializer.append(tensor)
            elif tensor.name not in self.inputs:
                make = onnx.helper.make_tensor_value_info
                graph.input.append(make(tensor.name, tensor.data_type, list(tensor.dims)))
        inferred = shape_inference.infer_shapes(bare, data_prop=True).graph
        values = (*inferred.input, *inferred.output, *inferred.value_info)
        found = {v.name: tensor_type(v) for v in values if v.type.HasField("tensor_type")}
        for tensor in self._weights.values():
            found.setdefault(tensor.name, _weight_type(tensor))
        return found


def _value(name: str, type_: TensorType | None) -> onnx.ValueInfoProto:
    if type_ is None:
        raise ValueError(f"the type of `{name}` is not known")
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(numpy_dtype(type_.dtype)))
    return onnx.helper.make_tensor_value_info(name, element, type_.shape)


def constant_value(node: onnx.NodeProto) -> Array | None:
    """What a Constant node holds; None for text and sparse tensors."""
    for attribute in node.attribute:
        if attribute.name == "value":
            return np.asarray(numpy_helper.to_array(attribute.t))
        value = onnx.helper.get_attribute_value(attribute)
        if attribute.name in ("value_float", "value_floats"):
            return np.array(value, np.float32)
        if attribute.name in ("value_int", "value_ints"):
            return np.array(value, np.int64)
    return None


def _weight_type(tensor: onnx.TensorProto) -> TensorType:
    value = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
    return tensor_type(value)


def attribute(node: onnx.NodeProto, name: str, default: object = None) -> object:
    """A node's attribute, bytes as text; `default` where the node does not have it."""
    for held in node.attribute:
        if held.name == name:
            value = onnx.helper.get_attribute_value(held)
            return value.decode() if isinstance(value, bytes) else value
    return default
