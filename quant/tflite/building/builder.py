"""The ONNX graph while it is being made from a TFLite one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from quant.fault import Fault
from quant.tflite.building.graph import Graph
from quant.tflite.building.layout import CHANNELS_FIRST, Order, arrange, keeps_bytes, plain, route
from quant.tflite.building.names import valid
from quant.tflite.building.value import Value


class Builder:
    """Collects nodes and constants; knows where each TFLite tensor is stored and in what order.

    A transposition costs nothing here until an operator needs another order than the stored one.
    ONNX tensors have provisional names (`%7`) until the graph is whole; `hints` says what to
    call those that hold no TFLite tensor.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.op = graph.ops[0]
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, NDArray[Any]] = {}
        self.values: dict[int, Value] = {}
        self.hints: dict[str, str] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._transposed: dict[tuple[str, Order], str] = {}
        self._reshaped: dict[tuple[str, tuple[int, ...]], str] = {}
        self._reshape_source: dict[str, tuple[str, tuple[int, ...]]] = {}

    # What an operator reads

    def fault(self, what: str, advice: str) -> Fault:
        """An error about the operator at hand."""
        return Fault(f"{self.graph.describe(self.op)}: {what}", advice)

    def value(self, position: int) -> Value:
        """The operator's input at a position."""
        found = self.optional(position)
        if found is None:
            raise self.fault(f"input {position} is left out", "convert the network again")
        return found

    def optional(self, position: int) -> Value | None:
        """The operator's input at a position, or None where it is left out."""
        if position >= len(self.op.inputs) or self.op.inputs[position] < 0:
            return None
        return self.tensor_value(self.op.inputs[position])

    def tensor_value(self, index: int) -> Value:
        """What holds a TFLite tensor."""
        tensor = self.graph.tensors[index]
        if index in self.values:
            return self.values[index]
        data = tensor.data
        if data is None and 0 in tensor.shape:  # an empty constant has an empty buffer
            data = np.zeros(tensor.shape, tensor.dtype)
        if data is None:
            raise self.fault(
                f"{tensor} is a variable, or computed by a later operator",
                "networks with state are not converted",
            )
        name = valid(tensor.name, index)
        return Value(name, tensor.shape, plain(len(tensor.shape)), tensor.dtype, data)

    def constant(self, position: int) -> NDArray[Any]:
        """The values of an input that must be known before the network runs."""
        found = self.value(position)
        if found.array is None:
            tensor = self.graph.tensors[self.op.inputs[position]]
            raise self.fault(
                f"{tensor} is computed, not constant",
                "convert the network to TFLite again with fixed input shapes",
            )
        return found.array

    def integers(self, position: int) -> list[int]:
        """A constant input as a flat list of integers."""
        return [int(n) for n in self.constant(position).reshape(-1)]

    def shape_out(self, position: int = 0) -> tuple[int, ...]:
        """The shape of the operator's output, as TFLite counts axes."""
        return self.graph.tensors[self.op.outputs[position]].shape

    def dtype_out(self) -> np.dtype[Any]:
        return self.graph.tensors[self.op.outputs[0]].dtype

    def stored(self, value: Value, order: Order | None = None) -> str:
        """The ONNX tensor that holds a value in an order (its own where none is wanted)."""
        order = value.order if order is None else order
        if value.array is not None:
            return self.initializer(value.array.transpose(order), value.name)
        perm = route(value.order, order)
        if perm == plain(value.rank):
            return value.name
        if keeps_bytes(value.stored_shape, perm):
            return self.reshape(value.name, value.stored_shape, arrange(value.shape, order))
        key = (value.name, perm)
        if key not in self._transposed:
            self._transposed[key] = self.emit("Transpose", [value.name], perm=perm)
        return self._transposed[key]

    def channels_first(self, value: Value) -> str:
        """The ONNX tensor that holds a 4-D value as N, C, H, W."""
        if value.rank != 4:
            raise self.fault(f"the input has {value.rank} axes, not 4", "convert it again")
        return self.stored(value, CHANNELS_FIRST)

    # What an operator writes

    def provisional(self, hint: str) -> str:
        name = f"%{len(self.hints)}"
        self.hints[name] = hint
        return name

    def label(self) -> str:
        """What the operator at hand computes, by name."""
        return self.graph.label(self.op.outputs[0])

    def initializer(self, array: NDArray[Any], hint: str = "") -> str:
        """The name of a constant; equal constants are stored once."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            taken = hint in ("", self.label())  # TFLite calls a bias like its convolution
            name = self.provisional(f"{self.label()}/constant" if taken else hint)
            self.initializers[name] = array
            self._constants[key] = name
        return self._constants[key]

    def scalar(self, number: float, dtype: Any = np.float32) -> str:
        return self.initializer(np.asarray(number, dtype))

    def vector(self, numbers: Sequence[int]) -> str:
        return self.initializer(np.asarray(numbers, np.int64))

    def emit(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""
        return self.emit_many(kind, inputs, 1, **attributes)[0]

    def emit_many(
        self, kind: str, inputs: Sequence[str], count: int, **attributes: Any
    ) -> list[str]:
        """Add a node with `count` outputs and return their names."""
        outputs = [self.provisional(f"{self.label()}/{kind}") for _ in range(count)]
        node = helper.make_node(kind, list(inputs), outputs, **attributes)
        source = self.graph.tensors[self.op.outputs[0]].name
        node.doc_string = f"TFLite operator {self.op.index} {self.op.kind}: {source}"
        self.nodes.append(node)
        return outputs

    def reshape(self, name: str, have: tuple[int, ...], want: tuple[int, ...]) -> str:
        """An ONNX Reshape; one after another becomes one, and one back to the start none."""
        while name in self._reshape_source:
            name, have = self._reshape_source[name]
        if have == want:
            return name
        key = (name, want)
        if key not in self._reshaped:
            output = self.emit("Reshape", [name, self.vector(want)])
            self._reshape_source[output] = (name, have)
            self._reshaped[key] = output
        return self._reshaped[key]

    def define(
        self,
        name: str,
        order: Order | None = None,
        position: int = 0,
        columns: NDArray[np.int64] | None = None,
    ) -> None:
        """State that an ONNX tensor holds the operator's output, in an order."""
        tensor = self.graph.tensors[self.op.outputs[position]]
        order = plain(len(tensor.shape)) if order is None else order
        self.values[tensor.index] = Value(name, tensor.shape, order, tensor.dtype, columns=columns)

    def define_constant(self, array: NDArray[Any]) -> None:
        """State that the operator's output is a constant."""
        order = plain(array.ndim)
        value = Value(self.label(), array.shape, order, array.dtype, array)
        self.values[self.op.outputs[0]] = value
