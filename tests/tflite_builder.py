"""Small TFLite files made on the spot with the schema's object API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from quant.tflite.packer import Packer

TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}


def options(kind: str, **fields: Any) -> Any:
    """A builtin operator's options, such as `Conv2D`."""
    made = getattr(schema, f"{kind}OptionsT")()
    for name, value in fields.items():
        assert hasattr(made, name), f"{kind}OptionsT has no {name}"
        setattr(made, name, value)
    return made


def entry(name: str, index: int) -> Any:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name.encode(), index
    return made


class Network:
    """Collects tensors and operators; LiteRT works out the shapes of what is computed."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes = []
        self.model.buffers = [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, name: str, shape: Sequence[int], dtype: Any = np.float32) -> int:
        made = schema.TensorT()
        made.name, made.shape = name.encode(), list(shape)
        made.type = TYPES[np.dtype(dtype)]
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def input(
        self,
        *shape: int,
        name: str = "x",
        dtype: Any = np.float32,
        signature: Sequence[int] | None = None,
    ) -> int:
        index = self.tensor(name, shape, dtype)
        if signature is not None:
            self.graph.tensors[index].shapeSignature = list(signature)
        self.graph.inputs.append(index)
        return index

    def constant(self, array: Any, dtype: Any = None, name: str = "constant") -> int:
        values: NDArray[Any] = np.asarray(array, dtype)
        index = self.tensor(name, values.shape, values.dtype)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.graph.tensors[index].buffer = len(self.model.buffers)
        self.model.buffers.append(buffer)
        return index

    def weights(self, *shape: int) -> int:
        return self.constant(self.random.normal(size=shape).astype(np.float32), name="weights")

    def integers(self, *numbers: int) -> int:
        return self.constant(numbers, np.int32)

    def op(
        self, kind: str, *inputs: int, given: Any = None, dtype: Any = np.float32, name: str = ""
    ) -> int:
        return self.op_many(kind, *inputs, given=given, dtype=dtype, name=name)[0]

    def op_many(
        self,
        kind: str,
        *inputs: int,
        given: Any = None,
        dtype: Any = np.float32,
        count: int = 1,
        name: str = "",
        version: int = 1,
    ) -> list[int]:
        made = schema.OperatorT()
        made.inputs = list(inputs)
        made.outputs = [
            self.tensor(name or f"{kind.lower()}_{len(self.graph.operators)}", (), dtype)
            for _ in range(count)
        ]
        made.opcodeIndex = self.code(kind, version)
        if given is not None:
            options_name = type(given).__name__.removesuffix("T")
            made.builtinOptionsType = getattr(schema.BuiltinOptions, options_name)
            made.builtinOptions = given
        self.graph.operators.append(made)
        return list(made.outputs)

    def code(self, kind: str, version: int) -> int:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def quantize(self, index: int, scale: float) -> None:
        """Give a tensor a scale, zero point 0."""
        quantization = schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = [scale], [0]
        self.graph.tensors[index].quantization = quantization

    def sign(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        """Add a signature: its own names for inputs and outputs."""
        signature = schema.SignatureDefT()
        signature.signatureKey = b"serving_default"
        signature.inputs = [entry(*item) for item in inputs.items()]
        signature.outputs = [entry(*item) for item in outputs.items()]
        self.model.signatureDefs = [signature]

    def pack(self, *outputs: int) -> bytes:
        """The file's bytes, with these outputs."""
        self.graph.outputs = list(outputs)
        packer = Packer()
        packer.Finish(self.model.Pack(packer), b"TFL3")
        return packer.Output()
