"""Networks that grow in an .rknn, each for one known reason. Seeded, made on the spot.

`input` is [1, 3, S, S], the output `scores` or, of the detector, `boxes` and `scores`. Weights keep
the signal's size from layer to layer, so that quantization has something to work on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from tests.small_models import model_bytes

# (expansion, channels, blocks, stride) of MobileNetV2. Source: arXiv:1801.04381, table 2.
MOBILENET_V2 = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)
# Side of the feature map, and how many boxes start at each of its points, as in SSD.
SSD_LEVELS = ((20, 3), (10, 3), (5, 2), (3, 3))


class Network:
    """Nodes with names such as `/3/Conv`, and their weights."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[NodeProto] = []
        self._weights: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = {}

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output. Returns the output's name."""
        name = f"/{len(self._nodes)}/{kind}"
        output = f"{name}_output_0"
        self._nodes.append(helper.make_node(kind, inputs, [output], name, **attributes))
        return output

    def weight(self, *shape: int) -> str:
        """Random numbers whose sum over all but the first axis has a variance of about 2."""
        spread = np.sqrt(2 / np.prod(shape[1:]))
        return self.constant(self._random.normal(0, spread, shape))

    def constant(self, values: object) -> str:
        name = f"w{len(self._weights)}"
        array = np.asarray(values)
        is_float = np.issubdtype(array.dtype, np.floating)
        self._weights[name] = array.astype(np.float32) if is_float else array
        return name

    def conv(
        self, x: str, before: int, after: int, side: int, stride: int = 1, groups: int = 1
    ) -> str:
        """A convolution with bias that keeps the size of what it reads, but for its stride."""
        weight = self.weight(after, before // groups, side, side)
        bias = self.constant(self._random.normal(0, 0.1, after))
        shape = {"kernel_shape": [side] * 2, "pads": [side // 2] * 4, "strides": [stride] * 2}
        return self.op("Conv", x, weight, bias, group=groups, **shape)

    def classify(self, x: str, channels: int, classes: int) -> None:
        """Global average pooling and a dense layer to the output `scores`."""
        x = self.op("Flatten", self.op("GlobalAveragePool", x))
        x = self.op("Gemm", x, self.weight(classes, channels), transB=1)
        self.name_output(x, "scores")

    def name_output(self, tensor: str, name: str) -> None:
        """Give a tensor another name."""
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [name if one == tensor else one for one in names]

    def end(self, side: int, outputs: dict[str, Sequence[int | str]]) -> bytes:
        return model_bytes(self._nodes, self._weights, {"input": (1, 3, side, side)}, outputs)


def grouped(layers: int = 7, channels: int = 640, groups: int = 80, side: int = 32) -> bytes:
    """Grouped 3x3 convolutions: too few channels in a group for the NPU."""
    net = Network()
    x = net.op("Relu", net.conv("input", 3, channels, 3, stride=2))
    for _ in range(layers):
        x = net.op("Relu", net.conv(x, channels, channels, 3, groups=groups))
    net.classify(x, channels, 50)
    return net.end(side, {"scores": (1, 50)})


def depthwise_multiplier(layers: int = 10, channels: int = 96, side: int = 32) -> bytes:
    """7x7 depthwise convolutions that make two channels of each, and 1x1 convolutions back."""
    net = Network()
    x = net.op("Relu", net.conv("input", 3, channels, 3, stride=2))
    for _ in range(layers):
        x = net.op("Relu", net.conv(x, channels, 2 * channels, 7, groups=channels))
        x = net.op("Relu", net.conv(x, 2 * channels, channels, 1))
    net.classify(x, channels, 10)
    return net.end(side, {"scores": (1, 10)})


def mobilenet_v2_like(side: int = 224) -> bytes:
    """MobileNetV2's layers with global average pooling over 7x7: healthy, nothing grows."""
    net = Network()
    low, high = net.constant(0.0), net.constant(6.0)

    def relu6(x: str) -> str:
        return net.op("Clip", x, low, high)

    x, channels = relu6(net.conv("input", 3, 32, 3, stride=2)), 32
    for expansion, after, blocks, first_stride in MOBILENET_V2:
        for block in range(blocks):
            stride = 1 if block else first_stride
            wide = channels * expansion
            y = relu6(net.conv(x, channels, wide, 1)) if expansion > 1 else x
            y = relu6(net.conv(y, wide, wide, 3, stride, groups=wide))
            y = net.conv(y, wide, after, 1)
            x = net.op("Add", x, y) if block else y
            channels = after
    net.classify(relu6(net.conv(x, channels, 1280, 1)), 1280, 1000)
    return net.end(side, {"scores": (1, 1000)})


def large_pooling(side: int = 112, window: int = 28) -> bytes:
    """An AveragePool over a window that is large, but not the whole map."""
    net = Network()
    x = net.op("Relu", net.conv("input", 3, 16, 3))
    x = net.op("AveragePool", x, kernel_shape=[window] * 2, strides=[window] * 2)
    x = net.op("Relu", net.conv(x, 16, 16, 3))
    net.classify(x, 16, 4)
    return net.end(side, {"scores": (1, 4)})


def ssd_head(classes: int = 2) -> bytes:
    """A small detector whose boxes [1, n, 4] and scores [1, n, classes] are joined on axis 1."""
    net = Network()
    x = net.op("Relu", net.conv("input", 3, 16, 3, stride=2))
    channels, side = 16, 40
    found: dict[str, list[str]] = {"boxes": [], "scores": []}
    for level, boxes in SSD_LEVELS:
        wide = min(2 * channels, 64)
        x = net.op("Relu", net.conv(x, channels, wide, 3, stride=2))
        channels, side = wide, (side + 1) // 2
        assert side == level
        for name, values in (("boxes", 4), ("scores", classes)):
            y = net.op("Transpose", net.conv(x, channels, boxes * values, 3), perm=[0, 2, 3, 1])
            shape = net.constant(np.array([1, side * side * boxes, values]))
            found[name].append(net.op("Reshape", y, shape))
    for name, parts in found.items():
        net.name_output(net.op("Concat", *parts, axis=1), name)
    count = sum(level * level * boxes for level, boxes in SSD_LEVELS)
    return net.end(80, {"boxes": (1, count, 4), "scores": (1, count, classes)})


def lstm(steps: int = 4, numbers: int = 8, units: int = 16) -> bytes:
    """One LSTM `lstm` that reads `x` [steps, 1, numbers]; weights `w`, `r` and `b`."""
    random = np.random.default_rng(0)
    weights = {
        "w": random.normal(0, 0.3, (1, 4 * units, numbers)).astype(np.float32),
        "r": random.normal(0, 0.3, (1, 4 * units, units)).astype(np.float32),
        "b": np.zeros((1, 8 * units), np.float32),
    }
    names = ["all", "last", "cell"]
    node = helper.make_node("LSTM", ["x", *weights], names, "lstm", hidden_size=units)
    last = (1, 1, units)
    outputs: dict[str, Sequence[int | str]] = {
        "all": (steps, *last), "last": last, "cell": last,
    }  # fmt: skip
    return model_bytes([node], weights, {"x": (steps, 1, numbers)}, outputs)
