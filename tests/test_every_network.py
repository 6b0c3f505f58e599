"""Networks that the SDK, or npumake's reading of it, used to refuse: they build, with the real SDK.

Each has several of them at once, for a build takes seconds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from quant.rknn import file as rknn_file
from tests.graph_builder import Builder, model
from tests.vacuous import some
from tests.workspace import Ran, Workspace

pytestmark = pytest.mark.toolchain
IMAGE = (1, 3, 16, 16)


def recurrent(kind: str, gates: int, outputs: list[str]) -> onnx.ModelProto:
    """A layer of which the last state alone is read."""
    b = Builder(0)
    weights = [b.weight(1, gates * 16, n, low=-0.3, high=0.3) for n in (8, 16)]
    weights.append(b.weight(1, 2 * gates * 16, low=-0.3, high=0.3))
    node = helper.make_node(kind, ["x", *weights], outputs, kind, hidden_size=16)
    b.nodes.append(node)
    return b.model({"x": (4, 1, 8)}, ["last"], 14)


def lstm() -> onnx.ModelProto:
    return recurrent("LSTM", 4, ["", "last", "cell"])


def cell() -> onnx.ModelProto:
    return recurrent("LSTM", 4, ["", "", "last"])


def gru() -> onnx.ModelProto:
    return recurrent("GRU", 3, ["all", "last"])


def newer() -> onnx.ModelProto:
    """Gelu and GroupNormalization of opset 21; LayerNormalization without its attributes, and over
    three axes."""
    b = Builder(1)
    x = b.op("Gelu", b.op("Conv", "x", b.weight(8, 3, 3, 3), pads=[1] * 4))
    x = b.op("GroupNormalization", x, b.weight(8, low=0.5), b.weight(8), num_groups=2)
    x = b.op("LayerNormalization", x, b.weight(16, low=0.5), b.weight(16))
    over = (8, 16, 16)
    x = b.op("LayerNormalization", x, b.weight(*over, low=0.5), b.weight(*over), axis=1)
    # onnx infers no shape through GroupNormalization.
    first, last = (
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)]
        for name, shape in (("x", IMAGE), (x, (1, *over)))
    )
    weights = [numpy_helper.from_array(value, name) for name, value in b.weights.items()]
    return model(helper.make_graph(b.nodes, "g", first, last, weights), 21)


def shapes() -> onnx.ModelProto:
    """A symbol of input and output, an empty roi, an unread index, and groups that are turned
    round."""
    b = Builder(2)
    x = b.op("Conv", "x", b.weight(8, 3, 3, 3), pads=[1] * 4, strides=[2, 2])
    x = b.op("Resize", x, b.constant([]), b.constant([1, 1, 2, 2]), nearest_mode="floor")
    b.nodes.append(helper.make_node("MaxPool", [x], ["pool", "at"], "pool", kernel_shape=[2, 2]))
    x = b.op("ConvTranspose", "pool", b.weight(8, 4, 2, 2), group=2)
    made = b.model({"x": IMAGE}, [x], 11)
    for value in (*made.graph.input, *made.graph.output):
        for axis, name in ((2, "h"), (3, "w")):
            value.type.tensor_type.shape.dim[axis].dim_param = name
    return made


def numbers() -> onnx.ModelProto:
    """A number that decides a branch, one that is fed, and float64 inside."""
    b = Builder(3)
    x = b.op("Conv", "x", b.weight(8, 3, 3, 3), pads=[1] * 4)
    wide = b.op("Cast", x, to=onnx.TensorProto.DOUBLE)
    b.weights["two"], b.weights["rate"] = np.array(2.0), np.array(16000)
    x = b.op("Cast", b.op("Mul", wide, "two"), to=onnx.TensorProto.FLOAT)
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(name, [x], [f"{name}_out"], name)],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_out", onnx.TensorProto.FLOAT, (1, 8, 16, 16))],
        )
        for name in ("Relu", "Neg")
    }
    then, other = branches.values()
    is_high = b.op("Equal", "sr", "rate")
    x = b.op("If", is_high, then_branch=then, else_branch=other)
    x = b.op("Mul", x, "gain")
    made = b.model({"x": IMAGE, "gain": (), "sr": ()}, [x], 16)
    made.graph.input[2].type.tensor_type.elem_type = onnx.TensorProto.INT64
    return made


MODELS: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "lstm": (lstm, {"x": {"shape": [4, 1, 8]}}, {"rk3588": {}}),
    "cell": (cell, {"x": {"shape": [4, 1, 8]}}, {"rk3588": {}}),
    "gru": (gru, {"x": {"shape": [4, 1, 8]}}, {"rk3588": {}}),
    "newer": (newer, {"x": {"shape": list(IMAGE)}}, {"rk3588": {}}),
    "shapes": (shapes, {"x": {"shape": list(IMAGE)}}, {"rk3588": {}, "rv1106": {}}),
    "numbers": (
        numbers,
        {"x": {"shape": list(IMAGE)}, "gain": {"shape": []}, "sr": {"value": 16000}},
        {"rk3588": {}},
    ),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Ran]:
    workspace = Workspace(tmp_path_factory.mktemp("every"))
    random = np.random.default_rng(0)
    for name, (make, inputs, targets) in MODELS.items():
        recipe = {
            "source": {"onnx": "net.onnx"},
            "inputs": inputs,
            "quantize": {"calibration": {"npy": {}}},
            "targets": targets,
        }
        folder = workspace.root / "models" / name
        for key, told in inputs.items():
            if "shape" in told:
                recipe["quantize"]["calibration"]["npy"][key] = f"{key}.npy"
        workspace.add(name, recipe, net__onnx=make().SerializeToString())
        for key, told in inputs.items():
            if "shape" in told:
                sample = random.uniform(0.5, 1, (3, *told["shape"])).astype(np.float32)
                np.save(folder / f"{key}.npy", sample)
    return workspace, workspace.doit("-c")


@pytest.mark.parametrize("name", MODELS)
def test_builds_and_computes_the_same(built: tuple[Workspace, Ran], name: str) -> None:
    workspace, ran = built
    for target in some(MODELS[name][2]):
        place = workspace.built(name, f"{target}/report/metrics.json")
        assert place.exists(), ran.err
        for output, found in some(json.loads(place.read_text())["outputs"].items()):
            assert found["cosine"]["worst"] > 0.98, (name, target, output)
        assert rknn_file.read(workspace.built(name, f"{target}/model.rknn")).graphs


def changes(workspace: Workspace, name: str) -> Any:
    return json.loads(workspace.built(name, "simplify/changes.json").read_text())


def test_what_was_rewritten_is_told(built: tuple[Workspace, Ran]) -> None:
    workspace, ran = built
    fired = {
        name: sorted({made["rule"] for made in changes(workspace, name)["rewrites"]["fired"]})
        for name in MODELS
    }
    assert fired == {
        "lstm": ["named_states"],
        "cell": ["cell_state"],
        "gru": ["last_state"],
        "newer": ["layer_norm_last_axis"],
        "shapes": ["split_transposed_groups"],
        "numbers": [],
    }
    assert "gru: `last_state` by itself, 1 time" in ran.out + ran.err


def test_an_output_that_nobody_reads_is_absent(built: tuple[Workspace, Ran]) -> None:
    workspace, _ = built
    file = rknn_file.read(workspace.built("lstm", "rk3588/model.rknn"))
    made = {op.op_type: op.outputs for graph in file.graphs for op in graph}
    assert len(made["exLSTM"]) == 1


def test_exact_numbers_of_the_branch(built: tuple[Workspace, Ran]) -> None:
    workspace, _ = built
    record = json.loads(workspace.built("numbers", "export/export.json").read_text())
    assert record["maximum_difference"] == {Path(name).name: 0.0 for name in record["outputs"]}
    assert [one.split(":")[0] for one in record["changes"]] == [
        "input `sr` is the constant 16000",
        "If `If_5` always takes its then branch",
        "input `gain` was one number, now [1]",
    ]
