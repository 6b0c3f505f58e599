"""Networks of many nodes and of large weights, seeded, and photographs to calibrate with.

ResNet50 is in benchmarks.resnet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

PHOTOGRAPH = (480, 640)


class Network:
    """Collects nodes and weights. Every layer returns the name of its output."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [f"{name}_out"], name, **attributes))
        return f"{name}_out"

    def weight(self, values: npt.NDArray[Any]) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(self, x: str, c_in: int, c_out: int, kernel: int, stride: int = 1) -> str:
        """He's initialization; same padding."""
        scale = np.float32((2 / (c_in * kernel**2)) ** 0.5)
        shape = (c_out, c_in, kernel, kernel)
        w = self._random.standard_normal(shape, np.float32) * scale
        bias = self._random.normal(0, 0.1, c_out)
        given = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        return self.op("Conv", x, self.weight(w), self.weight(bias), **given)

    def whole(self, number: int) -> str:
        return self.op("Constant", value=numpy_helper.from_array(np.array(number, np.int64)))

    def reshape(self, x: str, *lengths: str | int) -> str:
        axes = numpy_helper.from_array(np.array([0], np.int64))
        parts = [
            self.op("Constant", value=numpy_helper.from_array(np.array([length], np.int64)))
            if isinstance(length, int)
            else self.op("Unsqueeze", length, self.op("Constant", value=axes))
            for length in lengths
        ]
        return self.op("Reshape", x, self.op("Concat", *parts, axis=0))

    def classifier(self, x: str, channels: int, classes: int) -> str:
        flat = self.op("Flatten", self.op("GlobalAveragePool", x))
        w = self._random.normal(0, channels**-0.5, (channels, classes))
        return self.op("Gemm", flat, self.weight(w), self.weight(np.zeros(classes)))

    def model(self, shape: Sequence[int], output: str, classes: int) -> onnx.ModelProto:
        self._nodes.append(helper.make_node("Identity", [output], ["scores"], "scores"))
        graph = helper.make_graph(
            self._nodes,
            "made",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, (1, classes))],
            self._weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def deep(blocks: int = 147) -> onnx.ModelProto:
    """5,592 nodes: shuffled channels on small maps, with torch's arithmetic on their shapes."""
    made = Network(1)
    x = made.op("Relu", made.conv("input", 3, 8, 3))
    for _ in range(blocks):
        y = made.op("Relu", made.conv(x, 8, 8, 3))
        n, c, height, width = (
            made.op("Gather", made.op("Shape", y), made.whole(axis), axis=0) for axis in range(4)
        )
        half = made.op("Div", c, made.whole(2))
        y = made.reshape(y, n, 2, half, height, width)
        y = made.op("Transpose", y, perm=[0, 2, 1, 3, 4])
        x = made.op("Add", x, made.reshape(y, n, -1, height, width))
    return made.model((1, 3, 16, 16), made.classifier(x, 8, 10), 10)


def chain(layers: int, channels: int = 8) -> onnx.ModelProto:
    """Convolutions with Relu one behind the other, and a classifier."""
    made = Network(3)
    x, before = "input", 3
    for _ in range(layers):
        x, before = made.op("Relu", made.conv(x, before, channels, 3)), channels
    return made.model((1, 3, 16, 16), made.classifier(x, channels, 10), 10)


def wide(layers: int = 9) -> onnx.ModelProto:
    """353 MB in few nodes: convolutions of 38 MB each."""
    made = Network(2)
    x = made.op("Relu", made.conv("input", 3, 1024, 3, 2))
    for _ in range(layers):
        x = made.op("Relu", made.conv(x, 1024, 1024, 3))
    return made.model((1, 3, 28, 28), made.classifier(x, 1024, 3300), 3300)


def write_photographs(folder: Path, count: int) -> None:
    """JPEG files of smooth colours with edges and noise, as photographs have, by seed."""
    folder.mkdir(parents=True)
    height, width = PHOTOGRAPH
    rows, columns = np.mgrid[0:height, 0:width]
    for seed in range(count):
        random = np.random.default_rng(seed)
        coarse = random.integers(0, 256, (9, 12, 3)).astype(np.uint8)
        picture = np.asarray(Image.fromarray(coarse).resize((width, height)), np.float32)
        for _ in range(6):
            centre, radius = random.uniform((0, 0), (height, width)), random.uniform(20, 160)
            inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2
            picture[inside] = 0.4 * picture[inside] + 0.6 * random.uniform(0, 255, 3)
        picture += random.normal(0, 6, picture.shape)
        pixels = np.clip(picture, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed:04}.jpg", quality=90)
