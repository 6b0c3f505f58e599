"""Our packer's bytes are those of flatbuffers.Builder."""

from __future__ import annotations

from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from quant.fixed_point.calibration.ranges import data_free_samples, observe
from quant.fixed_point.lower import lower
from quant.fixed_point.network.options import Options
from quant.fixed_point.tflite.to_tflite import to_tflite
from quant.tflite.packer import Packer
from tests.random_graphs import random_graph


class Aligned(flatbuffers.Builder):  # type: ignore[misc]
    """Vectors of bytes lie at multiples of 16."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:
        return super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment)


def require_same(model: Any) -> None:
    for builder, packer in ((flatbuffers.Builder(0), Packer()), (Aligned(0), Packer(16))):
        builder.Finish(model.Pack(builder), b"TFL3")
        packer.Finish(model.Pack(packer), b"TFL3")
        assert packer.Output() == bytes(builder.Output())


@pytest.mark.parametrize("seed", [0, 1, 2, 4, 7, 8])
def test_networks(seed: int) -> None:
    graph = random_graph(seed)
    raw = to_tflite(lower(graph, observe(graph, data_free_samples(graph, 2)), Options(16)), "net")
    require_same(schema.ModelT.InitFromPackedBuf(raw, 0))


def tensor(name: str, shape: Any) -> Any:
    made = schema.TensorT()
    made.name, made.shape, made.type = name, shape, schema.TensorType.FLOAT32
    made.quantization = schema.QuantizationParametersT()
    made.quantization.scale, made.quantization.zeroPoint = [0.5, 0.25], [0, -(2**40)]
    made.hasRank, made.isVariable = True, len(name) % 2 == 1
    return made


def buffer(data: Any) -> Any:
    made = schema.BufferT()
    made.data, made.offset, made.size = data, 2**33, 5
    return made


def test_numbers_of_every_width() -> None:
    """Lists and arrays, defaults and none, in an order that wants padding."""
    net = schema.SubGraphT()
    net.name = "é"
    net.tensors = [
        tensor("a" * i, [1] * i if i % 2 else np.arange(i, dtype=">i4")) for i in range(7)
    ]
    operator = schema.OperatorT()
    operator.inputs, operator.outputs, operator.intermediates = [0, -1], np.array([3], np.int32), []
    operator.mutatingVariableInputs = [True, False, True]
    operator.builtinOptionsType = schema.BuiltinOptions.LeakyReluOptions
    operator.builtinOptions = schema.LeakyReluOptionsT()
    operator.builtinOptions.alpha = 0.1
    operator.customOptions = [1, 2, 3]
    net.operators = [operator, operator, schema.OperatorT()]
    model = schema.ModelT()
    model.version, model.description = 3, b"bytes"
    model.subgraphs, model.metadataBuffer = [net, schema.SubGraphT()], [1, 2]
    model.buffers = [buffer(None), buffer([7] * 3), buffer(np.arange(33, dtype=np.uint8))]
    require_same(model)


def test_what_is_no_vector_of_numbers_is_refused() -> None:
    for wrong in (np.zeros((2, 2)), np.array([None])):
        with pytest.raises(TypeError, match="no vector of numbers"):
            Packer().CreateNumpyVector(wrong)
