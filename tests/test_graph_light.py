"""A graph without its large weights: what tools make of it is what they make of the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, shape_inference

from quant.graph import light as graph_light
from quant.graph.light import byte_size, large_weights, put_back, unfolded_weights, without
from tests import warm_toolchains
from tests.graph_builder import parsed
from tests.random_graphs import random_graph

TEXTS = {
    "read": "g (float[1,200] x) => (float[1,200] y) { y = MatMul(x, w) }",
    "read through a branch": """g (float[1,200] x, bool b) => (float[1,200] y) {
        y = If (b) <
            then_branch = t () => (float[1,200] p) { p = MatMul(x, w) },
            else_branch = e () => (float[1,200] q) { q = Neg(x) }
        >
    }""",
    "computed with": """g (float[1,200] x) => (float[1,200] y) {
        v = Transpose <perm = [1, 0]> (w) y = MatMul(x, v)
    }""",
    "put out": "g (float[1,200] x) => (float[200,200] w) { y = Neg(x) }",
    "not read": "g (float[1,200] x) => (float[1,200] y) { y = Neg(x) }",
}


def with_weight(text: str) -> onnx.ModelProto:
    model: onnx.ModelProto = parsed(text)
    weight = np.random.default_rng(0).standard_normal((200, 200), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return model


@pytest.mark.parametrize(
    ("name", "is_large", "is_unfolded"),
    [
        ("read", True, True),
        ("read through a branch", True, True),
        ("computed with", True, False),
        ("put out", False, False),
        ("not read", True, True),
    ],
)
def test_which_weights_stay_away(name: str, is_large: bool, is_unfolded: bool) -> None:
    model = with_weight(TEXTS[name])
    assert ("w" in large_weights(model)) is is_large
    assert ("w" in unfolded_weights(model)) is is_unfolded


def test_equal_weights_may_become_one() -> None:
    model = with_weight("g (float[1,200] x) => (float[1,200] y) { h = MatMul(x, w) y = Mul(h, h) }")
    again = model.graph.initializer.add()
    again.CopyFrom(model.graph.initializer[0])
    again.name = "again"
    model.graph.node[1].input[1] = "again"
    assert list(large_weights(model)) == ["w", "again"]
    assert unfolded_weights(model) == {}


def test_unsound_weights_are_left_for_the_checker() -> None:
    model = with_weight(TEXTS["read"])
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    assert large_weights(model) == {}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_there_and_back(text: str) -> None:
    model = with_weight(text)
    weights = large_weights(model)
    light = without(model, weights)
    assert light.ByteSize() < 10_000 or not weights
    put_back(light, weights, ["w"])
    if text == TEXTS["not read"]:
        del model.graph.initializer[:]
    assert light.SerializeToString() == model.SerializeToString()


@pytest.mark.parametrize("seed", range(6))
def test_shapes_and_bytes_are_those_of_the_whole(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_light, "LARGE", 256)
    model = random_graph(seed)
    order = [tensor.name for tensor in model.graph.initializer]
    found = shape_inference.infer_shapes(without(model, large_weights(model)), data_prop=True)
    put_back(found, large_weights(model), order)
    assert found == shape_inference.infer_shapes(model, data_prop=True)
    assert byte_size(model) == model.ByteSize()


# The simplifier is in the toolchain `core` alone.
SIMPLIFY = """
import onnxsim
from quant.graph import light
from tests.random_graphs import random_graph
light.LARGE = 256
away = 0
for seed in range(12):
    model = random_graph(seed)
    expected, _ = onnxsim.simplify(model, skipped_optimizers=["fuse_bn_into_conv"])
    weights = light.unfolded_weights(model)
    without = light.without(model, weights)
    found, _ = onnxsim.simplify(without, skipped_optimizers=["fuse_bn_into_conv"])
    light.put_back(found, weights, [tensor.name for tensor in model.graph.initializer])
    assert found == expected, seed
    away += len(weights)
assert away > 5, "too few were put aside to say anything"
print("checked", seed + 1)
"""


@pytest.mark.toolchain
def test_simplified_graphs_are_those_of_the_whole(tmp_path: Path) -> None:
    assert warm_toolchains.run("core", SIMPLIFY, tmp_path) == "checked 12\n"
