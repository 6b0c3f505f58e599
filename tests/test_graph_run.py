"""onnxruntime is given large weights by reference: what it computes stays the whole file's."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime import InferenceSession

from quant.execution.run import FloatRun
from tests.graph_builder import parsed

RANDOM = np.random.default_rng(0)
X = {
    "x": RANDOM.standard_normal((2, 200), np.float32),
    "b": np.array(True),
}
PLAIN = "g (float[2,200] x, bool b) => (float[2,200] y) { h = MatMul(x, w) y = MatMul(h, w) }"
BRANCHES = """g (float[2,200] x, bool b) => (float[2,200] y) {
    y = If (b) <
        then_branch = t () => (float[2,200] p) { p = MatMul(x, w) },
        else_branch = e () => (float[2,200] q) { q = Neg(x) }
    >
}"""
UNUSED = "g (float[2,200] x, bool b) => (float[2,200] y) { y = Neg(x) }"
PUT_OUT = "g (float[2,200] x, bool b) => (float[200,200] w) { y = Neg(x) }"


def with_weight(text: str, is_raw: bool = True, is_input: bool = False) -> onnx.ModelProto:
    model: onnx.ModelProto = parsed(text)
    weight = RANDOM.standard_normal((200, 200), np.float32)
    if is_raw:
        tensor = numpy_helper.from_array(weight, "w")
    else:
        tensor = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, (200, 200), weight.ravel())
    model.graph.initializer.append(tensor)
    if is_input:
        model.graph.input.add().CopyFrom(
            onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, (200, 200))
        )
    return model


def of_whole_file(model: onnx.ModelProto, inputs: dict[str, Any]) -> Any:
    return InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, inputs
    )[0]


@pytest.mark.parametrize("text", [PLAIN, BRANCHES, UNUSED, PUT_OUT])
def test_large_weights(text: str) -> None:
    for is_raw in (True, False):
        model = with_weight(text, is_raw)
        before = model.SerializeToString()
        run = FloatRun(model)
        assert model.SerializeToString() == before
        del model.graph.initializer[:]  # what the session reads must not depend on the caller's
        (found,) = (np.asarray(value, np.float32) for value in run(X).values())
        whole = of_whole_file(onnx.load_model_from_string(before), X)
        np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-4)
        assert np.abs(found).max() > 1


def test_a_weight_that_is_an_input_too_can_be_given() -> None:
    model = with_weight(PLAIN, is_input=True)
    eye = np.eye(200, dtype=np.float32)
    assert (FloatRun(model)({**X, "w": eye})["y"] == X["x"]).all()
    own = np.asarray(FloatRun(model)(X)["y"], np.float32)
    np.testing.assert_allclose(own, of_whole_file(model, X), rtol=1e-5, atol=1e-4)
