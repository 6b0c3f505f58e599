"""Weights in side files: counted, located and typed before a byte of them is read."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from quant.fault import Fault
from quant.graph.side_files import embed

SIXTY_MB = 15_000_000  # float32


def model_of(
    count: int = 1, elements: int = 4, type_: int = onnx.TensorProto.FLOAT, **told: object
) -> onnx.ModelProto:
    """`count` initializers in `w.bin`, all with the same entries, those in `told` others."""
    entries = {"location": "w.bin", **{key: str(value) for key, value in told.items()}}
    graph = helper.make_graph([], "g", [], [])
    for number in range(count):
        tensor = graph.initializer.add(name=f"w{number}", data_type=type_, dims=[elements])
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
    return helper.make_model(graph)


def test_150_weights_over_one_file_are_counted_before_they_are_read(tmp_path: Path) -> None:
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(4 * SIXTY_MB)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = (
        "`net.onnx` has 150 weights of 9,000,000,000 bytes in side files that hold 60,000,000, "
        "more than the 2,147,483,647 of one ONNX file"
    )
    with pytest.raises(Fault, match=re.escape(told)):
        embed(model_of(150, SIXTY_MB), tmp_path, "net.onnx")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 50_000  # kB; 9,000,000 when they were read first


def test_weights_that_share_their_bytes_are_read(tmp_path: Path) -> None:
    np.arange(4, dtype=np.float32).tofile(tmp_path / "w.bin")
    model = model_of(2, offset=0, length=16)
    assert embed(model, tmp_path, "net.onnx") == 2
    arrays = [numpy_helper.to_array(tensor).tolist() for tensor in model.graph.initializer]
    assert arrays == [[0, 1, 2, 3], [0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("type_", "elements", "size"),
    [
        ("FLOAT", 3, 12),
        ("DOUBLE", 3, 24),
        ("BFLOAT16", 3, 6),
        ("FLOAT8E5M2", 3, 3),
        ("INT4", 3, 2),
        ("BOOL", 3, 3),
        ("COMPLEX128", 3, 48),
        ("FLOAT16", 3, 6),
        ("INT64", 0, 0),
    ],
)
def test_every_type_takes_its_bytes(tmp_path: Path, type_: str, elements: int, size: int) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(size))
    model = model_of(1, elements, getattr(onnx.TensorProto, type_))
    assert embed(model, tmp_path, "net.onnx") == 1
    assert len(model.graph.initializer[0].raw_data) == size


REFUSED = {
    "ends inside": ({"offset": 4, "length": 16}, "`w.bin` ends inside the weight `w0`"),
    "starts behind the end": ({"offset": 17}, "`w.bin` ends inside the weight `w0`"),
    "too long for its shape": (
        {"elements": 3, "length": 16},
        "the weight `w0` has 16 bytes in `w.bin`, its shape [3] takes 12",
    ),
    "the rest is too long": (
        {"elements": 1},
        "the weight `w0` has 16 bytes in `w.bin`, its shape [1] takes 4",
    ),
    "no number": ({"offset": "0x10"}, "the weight `w0` has the offset `0x10`"),
    "a negative number": ({"length": -16}, "the weight `w0` has the length `-16`"),
    "a superscript": ({"offset": "²"}, "the weight `w0` has the offset `²`"),
    "a huge number": ({"offset": "9" * 30}, "the weight `w0` has the offset `9999"),
    "text": ({"type_": onnx.TensorProto.STRING}, "the weight `w0` of type 8 and shape [4] can't"),
    "an unknown type": ({"type_": 99}, "the weight `w0` of type 99 and shape [4] can't be in"),
    "a negative length": ({"elements": -4}, "the weight `w0` of type 1 and shape [-4] can't be"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_contradicts_itself_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    given, told = REFUSED[name]
    with pytest.raises(Fault, match=re.escape(told)):
        embed(model_of(**given), tmp_path, "net.onnx")  # type: ignore[arg-type]
