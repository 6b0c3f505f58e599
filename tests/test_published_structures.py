"""Structures of published networks, small: built by the real SDK, and held to onnxruntime here.

YOLOv8's detector (C2f, SPPF and the DFL head, ultralytics 8.4), C2PSA's attention, and what sound
and text are read with: an LSTM whose states are inputs and outputs behind an If, as Silero's VAD
has it, and a GRU of which every step is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.detector_parts import attention
from tests.graph_builder import Builder
from tests.vacuous import some
from tests.workspace import Ran, Workspace

pytestmark = pytest.mark.toolchain

Array = NDArray[Any]
SIDE, CLASSES, BINS = 64, 3, 16
STRIDES = (8, 16)
TARGETS = {
    "int8": {"platform": "rk3588"},
    "float16": {"platform": "rk3588", "quantize": {"dtype": "float16"}},
    "int8-232": {"platform": "rk3588", "toolchain": "rknn-2.3.2"},
}


class Detector(Builder):
    """The blocks of YOLOv8, each with the number of its channels in and out."""

    def conv(self, x: str, inputs: int, outputs: int, side: int = 3, stride: int = 1) -> str:
        made = self.raw(x, inputs, outputs, side, stride)
        return self.op("Mul", made, self.op("Sigmoid", made))

    def raw(self, x: str, inputs: int, outputs: int, side: int = 1, stride: int = 1) -> str:
        most = (3 / (inputs * side * side)) ** 0.5
        weight = self.weight(outputs, inputs, side, side, low=-most, high=most)
        bias = self.weight(outputs, low=-0.3, high=0.3)
        pads = [side // 2] * 4
        return self.op(
            "Conv", x, weight, bias, kernel_shape=[side] * 2, strides=[stride] * 2, pads=pads
        )

    def c2f(self, x: str, inputs: int, outputs: int, *, adds: bool) -> str:
        half = outputs // 2
        x = self.conv(x, inputs, outputs, 1)
        parts = [f"{x}_left", f"{x}_right"]
        self.weights["halves"] = np.array([half, half])
        self.nodes.append(helper.make_node("Split", [x, "halves"], parts, f"{x}_split", axis=1))
        inner = self.conv(self.conv(parts[1], half, half), half, half)
        parts.append(self.op("Add", parts[1], inner) if adds else inner)
        return self.conv(self.op("Concat", *parts, axis=1), 3 * half, outputs, 1)

    def sppf(self, x: str, channels: int) -> str:
        parts = [self.conv(x, channels, channels // 2, 1)]
        for _ in range(3):
            parts.append(self.op("MaxPool", parts[-1], kernel_shape=[5, 5], pads=[2] * 4))
        return self.conv(self.op("Concat", *parts, axis=1), 2 * channels, channels, 1)

    def head(self, levels: list[str], channels: int) -> tuple[str, str]:
        """The boxes in pixels, and their scores."""
        sides = [SIDE // stride for stride in STRIDES]
        self.weights["flat"] = np.array([1, 4 * BINS + CLASSES, -1])
        self.weights["to_bins"] = np.array([1, 4, BINS, -1])
        self.weights["to_sides"] = np.array([1, 4, -1])
        self.weights["parts"] = np.array([4 * BINS, CLASSES])
        flat = []
        for x in levels:
            boxes = self.raw(self.conv(x, channels, channels), channels, 4 * BINS)
            scores = self.raw(self.conv(x, channels, channels), channels, CLASSES)
            flat.append(self.op("Reshape", self.op("Concat", boxes, scores, axis=1), "flat"))
        joined = self.op("Concat", *flat, axis=2)
        split = helper.make_node("Split", [joined, "parts"], ["bins", "classes"], "split", axis=1)
        self.nodes.append(split)
        bins = self.op("Transpose", self.op("Reshape", "bins", "to_bins"), perm=[0, 2, 1, 3])
        numbers = self.constant(np.arange(BINS).reshape(1, BINS, 1, 1))
        mean = self.op("Conv", self.op("Softmax", bins, axis=1), numbers)
        sides_of_boxes = self.op("Reshape", mean, "to_sides")
        for name, number in (("zero", 0), ("one", 1), ("two", 2), ("four", 4)):
            self.weights[name] = np.array([number])
        near = self.op("Slice", sides_of_boxes, "zero", "two", "one")
        far = self.op("Slice", sides_of_boxes, "two", "four", "one")
        cells = [np.mgrid[0:n, 0:n][::-1].reshape(2, n * n) + 0.5 for n in sides]
        anchors = self.constant(np.concatenate(cells, 1)[None])
        first, last = self.op("Sub", anchors, near), self.op("Add", anchors, far)
        middle = self.op("Div", self.op("Add", first, last), self.constant([2]))
        corners = self.op("Concat", middle, self.op("Sub", last, first), axis=1)
        counts = [n * n for n in sides]
        strides = self.constant(np.repeat(np.array(STRIDES), counts)[None, None])
        return self.op("Mul", corners, strides), self.op("Sigmoid", "classes")


def detector() -> onnx.ModelProto:
    b = Detector(0)
    x = b.conv(b.conv("images", 3, 16, stride=2), 16, 16, stride=2)
    fine = b.c2f(b.conv(x, 16, 32, stride=2), 32, 32, adds=True)
    coarse = b.sppf(b.c2f(b.conv(fine, 32, 32, stride=2), 32, 32, adds=True), 32)
    up = b.op("Resize", coarse, "", b.constant([1, 1, 2, 2]), mode="nearest", nearest_mode="floor",
              coordinate_transformation_mode="asymmetric")  # fmt: skip
    fine = b.c2f(b.op("Concat", up, fine, axis=1), 64, 32, adds=False)
    down = b.op("Concat", b.conv(fine, 32, 32, stride=2), coarse, axis=1)
    levels = [fine, b.c2f(down, 64, 32, adds=False)]
    return b.model({"images": (1, 3, SIDE, SIDE)}, list(b.head(levels, 32)), 13)


def voice() -> onnx.ModelProto:
    """By its rate one of two convolutions; then an LSTM that goes on from given states."""
    b = Builder(1)
    b.weights["rate"] = np.array(16000)
    branches = {}
    for name, step in (("then", 2), ("else", 4)):
        weight = numpy_helper.from_array(
            b.random.normal(0, 0.3, (16, 8, 3)).astype(np.float32), f"{name}_w"
        )
        node = helper.make_node("Conv", ["sound", f"{name}_w"], [f"{name}_y"], f"{name}_conv",
                                strides=[step], pads=[1, 1])  # fmt: skip
        out = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, [1, 16, None])
        branches[f"{name}_branch"] = helper.make_graph([node], name, [], [out], [weight])
    then, other = branches.values()
    x = b.op("Relu", b.op("If", b.op("Equal", "sr", "rate"), then_branch=then, else_branch=other))
    x = b.op("Transpose", x, perm=[2, 0, 1])
    weights = [b.weight(1, 64, 16, low=-0.3, high=0.3) for _ in range(2)]
    weights.append(b.weight(1, 128, low=-0.3, high=0.3))
    b.nodes.append(
        helper.make_node(
            "LSTM", [x, *weights, "", "h", "c"], ["", "h_out", "c_out"], "lstm", hidden_size=16
        )
    )
    b.weights["flat"] = np.array([1, 16])
    x = b.op("Gemm", b.op("Reshape", "h_out", "flat"), b.weight(16, 1))
    shapes = {"sound": (1, 8, 8), "h": (1, 1, 16), "c": (1, 1, 16), "sr": ()}
    made = b.model(shapes, [b.op("Sigmoid", x), "h_out", "c_out"], 16)
    made.graph.input[3].type.tensor_type.elem_type = TensorProto.INT64
    return made


def words() -> onnx.ModelProto:
    """A GRU over eight steps, and a layer that reads each of them, as a recogniser of text has."""
    b = Builder(2)
    weights = [b.weight(1, 48, n, low=-0.4, high=0.4) for n in (8, 16)]
    weights.append(b.weight(1, 96, low=-0.3, high=0.3))
    b.nodes.append(
        helper.make_node(
            "GRU", ["x", *weights], ["steps"], "gru", hidden_size=16, linear_before_reset=1
        )
    )
    b.weights["over"] = np.array([1])
    x = b.op("MatMul", b.op("Squeeze", "steps", "over"), b.weight(16, 10))
    return b.model({"x": (8, 1, 8)}, [b.op("Softmax", x, axis=-1)], 14)


@dataclass(frozen=True)
class Case:
    """error: the most that int8 may be off, as a share of each output's range, sample by sample."""

    make: Callable[[], onnx.ModelProto]
    inputs: dict[str, Any]
    error: float
    constants: dict[str, Array] = field(default_factory=dict)


CASES = {
    "detector": Case(detector, {"images": {"shape": [1, 3, SIDE, SIDE]}}, 0.12),
    "attention": Case(attention, {"x": {"shape": [1, 3, 8, 8]}}, 0.05),
    "voice": Case(
        voice,
        {
            "sound": {"shape": [1, 8, 8]},
            "h": {"shape": [1, 1, 16]},
            "c": {"shape": [1, 1, 16]},
            "sr": {"value": 16000},
        },
        0.05,
        {"sr": np.array(16000)},
    ),
    "words": Case(words, {"x": {"shape": [8, 1, 8]}}, 0.05),
}


def fed(case: Case) -> dict[str, tuple[int, ...]]:
    return {name: tuple(told["shape"]) for name, told in case.inputs.items() if "shape" in told}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Ran]:
    workspace = Workspace(tmp_path_factory.mktemp("structures"))
    random = np.random.default_rng(0)
    for name, case in CASES.items():
        recipe = {
            "source": {"onnx": "net.onnx"},
            "inputs": case.inputs,
            "quantize": {"calibration": {"npy": {key: f"{key}.npy" for key in fed(case)}}},
            "analyze": {"samples": 1},
            "targets": TARGETS,
        }
        folder = workspace.add(name, recipe, net__onnx=case.make().SerializeToString())
        for key, shape in fed(case).items():
            samples = random.normal(0, 0.5, (8, *shape)).astype(np.float32)
            np.save(folder / f"{key}.npy", samples)
            np.save(folder / f"first_{key}.npy", samples[0])
    return workspace, workspace.doit("-c", timeout_s=1200)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_computes_what_onnxruntime_does(
    built: tuple[Workspace, Ran], tmp_path: Path, name: str, target: str
) -> None:
    workspace, ran = built
    case, folder = CASES[name], workspace.root / "models" / name
    assert workspace.built(name, f"{target}/model.rknn").exists(), ran.err
    files = [str(folder / f"first_{key}.npy") for key in fed(case)]
    inferred = workspace.doit("infer", f"{name}@{target}", *files, "--output", str(tmp_path))
    assert inferred.code == 0, inferred.err
    session = onnxruntime.InferenceSession(
        case.make().SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    samples = {key: np.load(folder / f"first_{key}.npy") for key in fed(case)}
    expected = dict(zip(names, session.run(None, samples | case.constants), strict=True))
    with np.load(tmp_path / "simulator.npz") as made:
        assert sorted(made.files) == sorted(names)
        for output, values in some(expected.items()):
            error = np.abs(made[output][0] - values).max() / np.abs(values).max()
            assert error <= (0.01 if target == "float16" else case.error), (output, error)
