"""Mutants of ONNX and TFLite files against the readers, shortly; tests/fuzz_readers.py runs long.

The readers refuse, with a Fault, what lies; tests of single lies are below.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import helper, numpy_helper

from quant.fault import Fault
from quant.graph.check import check_graph
from quant.tflite.export import export
from tests import fuzz_readers
from tests.fuzz_readers import fuzz
from tests.graph_builder import parsed
from tests.tflite_builder import Network, options


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_mutants_are_refused_or_read(kind: str) -> None:
    tally = fuzz(kind, 0, 400, 60.0)
    assert tally.failures == {}
    assert tally.refused > 100 and tally.was_read > 20


def test_the_fuzz_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(data: bytes, folder: Path) -> None:
        raise IndexError("tuple index out of range")

    def deadly(data: bytes, folder: Path) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setitem(fuzz_readers.READERS, "onnx", (fuzz_readers.onnx_corpus, careless))
    careless_tally = fuzz("onnx", 1, 3, 60.0)
    assert [how.split(":")[0] for how in careless_tally.failures.values()] == [
        "IndexError test_fuzz_readers.py"
    ] * len(careless_tally.failures)
    assert careless_tally.failures
    monkeypatch.setitem(fuzz_readers.READERS, "onnx", (fuzz_readers.onnx_corpus, deadly))
    assert "the process died of signal 9" in fuzz("onnx", 1, 3, 60.0).failures.values()


def lying(tmp_path: Path, field: str, value: object) -> Path:
    """A network of two operators of which one field, found by a path of names, holds `value`."""
    n = Network()
    x = n.input(1, 4)
    w = n.constant(np.ones((3, 4)), np.float32, "w")
    n.pack(n.op("RELU", n.op("FULLY_CONNECTED", x, w, -1, given=options("FullyConnected"))))
    place: object = n.model
    *names, last = field.split(".")
    for name in names:
        place = place[int(name)] if isinstance(place, list) else getattr(place, name)
    if isinstance(place, list):
        place[int(last)] = value
    else:
        setattr(place, last, value)
    builder = flatbuffers.Builder(1024)
    builder.Finish(n.model.Pack(builder), b"TFL3")
    (tmp_path / "net.tflite").write_bytes(bytes(builder.Output()))
    return tmp_path / "net.tflite"


# field -> (what it says, what the refusal says of it)
LIES = {
    "subgraphs.0.tensors.1.buffer": (9, "tensor 1 `w` has the buffer 9 of 2"),
    "subgraphs.0.tensors.1.shape": ([3, 5], "tensor 1 `w` has 48 bytes of data, its shape [3, 5]"),
    "subgraphs.0.tensors.0.shape": ([1, -4], "tensor 0 `x` has the shape [1, -4]"),
    "subgraphs.0.tensors.0.shapeSignature": ([-1], "the shape [1, 4] and the signature [-1]"),
    "subgraphs.0.tensors.2.shape": ([65536] * 2, "has the shape [65536, 65536], of 4,294,967,296"),
    "subgraphs.0.operators.0.inputs": ([0, 7, -1], "operator 0 has tensor 7 of 4 as input"),
    "subgraphs.0.operators.1.outputs": ([-1], "operator 1 has tensor -1 of 4 as output"),
    "subgraphs.0.operators.1.opcodeIndex": (5, "operator 1 has the code 5 of 2"),
    "subgraphs.0.operators.0.outputs": ([], "operator 0 has no output"),
    "subgraphs.0.operators.1.inputs": ([], "LiteRT can't prepare the network"),
    "subgraphs.0.inputs": ([0, 12], "the network has tensor 12 of 4 as input"),
    "subgraphs.0.outputs": ([], "the network has no outputs"),
}  # fmt: skip


@pytest.mark.parametrize("field", LIES)
def test_tables_that_lie_are_refused(field: str, tmp_path: Path) -> None:
    value, told = LIES[field]
    with pytest.raises(Fault, match=re.escape(told)):
        export(lying(tmp_path, field, value), {})


def test_a_table_named_again_and_again_is_counted(tmp_path: Path) -> None:
    """4,000 subgraphs that are one, of 4,000 tensors that are one, would make 16 million."""
    builder = flatbuffers.Builder(1024)

    def vector(start: Callable[[flatbuffers.Builder, int], int], table: int) -> int:
        start(builder, 4000)
        for _ in range(4000):
            builder.PrependUOffsetTRelative(table)
        return int(builder.EndVector())

    schema.TensorStart(builder)
    tensors = vector(schema.SubGraphStartTensorsVector, schema.TensorEnd(builder))
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graphs = vector(schema.ModelStartSubgraphsVector, schema.SubGraphEnd(builder))
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    (tmp_path / "net.tflite").write_bytes(bytes(builder.Output()))
    with pytest.raises(Fault, match=r"net\.tflite: the TFLite file is damaged or cut short"):
        export(tmp_path / "net.tflite", {})


NET = (
    "g (float[1,2,4,4] x) => (float[1,2,2,2] y) "
    "{ y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x) }"
)


@pytest.mark.parametrize("name", ["strides", "kernel_shape"])
@pytest.mark.parametrize("number", [0, -1, 2**40])
def test_counts_of_no_size_are_refused(name: str, number: int) -> None:
    model = parsed(NET)
    held = next(a for a in model.graph.node[0].attribute if a.name == name)
    held.ints[0] = number
    with pytest.raises(Fault, match=rf"MaxPool `MaxPool\(y\)` has {name} {number}, 2"):
        check_graph(model)


@pytest.mark.parametrize("name", ["float_data", "raw_data", "dims"])
def test_tensors_without_the_data_of_their_shape_are_refused(name: str) -> None:
    model = parsed(
        "g (float[2] x) => (float[2] y) { y = Add(x, w) }", {"w": np.ones(2, np.float32)}
    )
    tensor = model.graph.initializer[0]
    if name == "float_data":
        tensor.CopyFrom(helper.make_tensor("w", onnx.TensorProto.FLOAT, [2], [1.0, 2.0]))
        check_graph(model)
        del tensor.float_data[1]
    elif name == "raw_data":
        tensor.raw_data = tensor.raw_data[:-1]
    else:
        tensor.dims[0] = 3
    with pytest.raises(Fault, match=r"the tensor `w` of type 1 and shape \[[23]\] holds [178]"):
        check_graph(model)


@pytest.mark.parametrize("dtype", ["float16", "int8", "bool", "int64", "complex64", "U3"])
def test_whole_tensors_of_every_kind_pass(dtype: str) -> None:
    array = np.ones((2, 3)).astype(dtype)
    tensors = [numpy_helper.from_array(array, "raw")]
    if dtype != "U3":
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensors.append(helper.make_tensor("typed", kind, [2, 3], array.reshape(-1).tolist()))
    model = parsed("g (float[2] x) => (float[2] y) { y = Relu(x) }")
    model.graph.initializer.extend(tensors)
    check_graph(model)
