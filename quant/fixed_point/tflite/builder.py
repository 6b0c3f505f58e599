"""A TFLite flatbuffer while it is made, by the schema that ai-edge-litert ships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from quant.fixed_point.network.network import Integers
from quant.tflite.packer import Packer

Array = NDArray[Any]

_TYPES: Mapping[str, int] = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
}
# DEQUANTIZE takes int8 since its second version, DEPTHWISE_CONV_2D dilations.
_VERSIONS = {"DEQUANTIZE": 2, "DEPTHWISE_CONV_2D": 2}
_DATA_ALIGNMENT = 16  # force_align of the schema's Buffer.data, which the generated code forgets
_SIGNATURE = b"serving_default"


class TFLiteBuilder:
    """Collects tensors and operators. Equal constants are stored once."""

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [schema.BufferT()]  # number 0 stands for "no data"
        self._operators: list[Any] = []
        self._codes: dict[str, int] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], int] = {}
        self._weights: dict[int, int] = {}
        self._dtypes: list[str] = []
        self._unshaped: dict[int, int] = {}  # a RESHAPE's result -> what the first of a chain read

    def tensor(self, shape: Sequence[int], name: str, dtype: str = "float32") -> int:
        """A computed tensor, or an input. Returns its index."""
        made = schema.TensorT()
        made.shape = np.array(shape, np.int32)
        made.type = _TYPES[dtype]
        made.name = name
        if dtype == "int8":
            made.quantization = _unit_scale()
        self._tensors.append(made)
        self._dtypes.append(dtype)
        return len(self._tensors) - 1

    def dtype(self, index: int) -> str:
        """What a tensor is stored as."""
        return self._dtypes[index]

    def constant(self, array: Array, name: str) -> int:
        """A constant as it is. int8 has the scale 1."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            index = self.tensor(array.shape, name, str(array.dtype))
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(array.tobytes(), np.uint8)
            self._buffers.append(buffer)
            self._tensors[index].buffer = len(self._buffers) - 1
            self._constants[key] = index
        return self._constants[key]

    def number(self, value: float, name: str, *, is_scalar: bool = False) -> int:
        """One float32 that broadcasts to everything. is_scalar: without an axis, as one would give
        its axis to a number that has none."""
        return self.constant(np.array(value if is_scalar else [value], np.float32), name)

    def whole(self, values: Integers, name: str) -> int:
        """Whole numbers as float32."""
        return self.constant(values.astype(np.float32), name)

    def weight(self, codes: Integers, name: str) -> int:
        """int8 codes, dequantized with the scale 1: one byte each in the file."""
        stored = self.constant(np.ascontiguousarray(codes.astype(np.int8)), name)
        if stored not in self._weights:
            made = self.op("DEQUANTIZE", [stored], codes.shape, f"{name}/float")
            self._weights[stored] = made
        return self._weights[stored]

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        name: str,
        options: Any = None,
        dtype: str = "float32",
    ) -> int:
        """Add an operator. options: an object of the schema's. Returns its one output."""
        made = schema.OperatorT()
        made.opcodeIndex = self._codes.setdefault(kind, len(self._codes))
        made.inputs = np.array(inputs, np.int32)
        output = self.tensor(shape, name, dtype)
        if kind == "RESHAPE":
            # Without delegates, LiteRT (2.3.0) gives the memory of a tensor within a chain of
            # RESHAPEs away before its last reader; so that there is no chain, each reads its root.
            root = self._unshaped.get(inputs[0], inputs[0])
            made.inputs[0] = self._unshaped[output] = root
        made.outputs = np.array([output], np.int32)
        if options is not None:
            kind_of = type(options).__name__.removesuffix("T")
            made.builtinOptionsType = getattr(schema.BuiltinOptions, kind_of)
            made.builtinOptions = options
        self._operators.append(made)
        return output

    def finish(self, name: str, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> bytes:
        """The file's bytes, the same for the same calls."""
        net = schema.SubGraphT()
        net.name = name
        net.tensors, net.operators = self._tensors, self._operators
        net.inputs = np.array(list(inputs.values()), np.int32)
        net.outputs = np.array(list(outputs.values()), np.int32)
        model = schema.ModelT()
        model.version = 3
        model.description = "npumake"
        model.subgraphs, model.buffers = [net], self._buffers
        model.operatorCodes = [_code(kind) for kind in self._codes]
        model.signatureDefs = [_signature(inputs, outputs)]
        packer = Packer(_DATA_ALIGNMENT)  # vectors of bytes are tensors' data
        packer.Finish(model.Pack(packer), b"TFL3")
        return packer.Output()


def _unit_scale() -> Any:
    made = schema.QuantizationParametersT()
    made.scale = np.array([1.0], np.float32)
    made.zeroPoint = np.array([0], np.int64)
    return made


def _code(kind: str) -> Any:
    made = schema.OperatorCodeT()
    made.builtinCode = getattr(schema.BuiltinOperator, kind)
    made.deprecatedBuiltinCode = min(made.builtinCode, 127)
    made.version = _VERSIONS.get(kind, 1)
    return made


def _signature(inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Any:
    made = schema.SignatureDefT()
    made.signatureKey = _SIGNATURE
    made.inputs, made.outputs = _named(inputs), _named(outputs)
    return made


def _named(ports: Mapping[str, int]) -> list[Any]:
    made = []
    for name, index in ports.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        made.append(entry)
    return made
