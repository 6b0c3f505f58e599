"""A graph's structure is that of the whole file, and of large weights only the numbers are gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper, numpy_helper

from quant.graph.structure import structure
from tests.small_models import conv_net
from tests.vacuous import some

LARGE = np.arange(1 << 14, dtype=np.float32)


def written(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("width", [16, 64, 200])
def test_large_weights_have_no_numbers(width: int, tmp_path: Path) -> None:
    whole = onnx.load_model_from_string(conv_net(width=width))
    whole.doc_string = "after the graph"
    found = structure(written(tmp_path / "net.onnx", whole))
    is_large = width > 16
    assert (found != whole) == is_large
    for tensor in some(whole.graph.initializer):
        if len(tensor.raw_data) >= 1 << 16:
            tensor.ClearField("raw_data")
    assert found == whole


@pytest.mark.parametrize("is_raw", [True, False])
def test_numbers_in_either_field(is_raw: bool, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(conv_net())
    values = [helper.make_tensor("l", onnx.TensorProto.FLOAT, LARGE.shape, LARGE.tolist())]
    if is_raw:
        values = [numpy_helper.from_array(LARGE, "l")]
    node = helper.make_node("Constant", [], ["kept"], value=numpy_helper.from_array(LARGE))
    model.graph.initializer.extend(values)
    model.graph.node.append(node)
    found = structure(written(tmp_path / "net.onnx", model))
    last = found.graph.initializer[-1]
    assert (last.name, list(last.dims)) == ("l", [1 << 14])
    assert not last.raw_data and not last.float_data
    assert found.graph.node == model.graph.node
    assert found.graph.initializer[:-1] == model.graph.initializer[:-1]


def test_what_is_cut_short_is_refused(tmp_path: Path) -> None:
    data = conv_net(width=64)
    for length in some([1, 50, 5000, len(data) - 1]):
        file = tmp_path / f"{length}.onnx"
        file.write_bytes(data[:length])
        with pytest.raises(DecodeError):
            structure(file)


def test_an_empty_file_is_an_empty_model(tmp_path: Path) -> None:
    """As protobuf has it; mmap maps none."""
    file = tmp_path / "net.onnx"
    file.touch()
    assert structure(file) == onnx.load_model_from_string(b"")
