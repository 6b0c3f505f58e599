"""Seeded random networks that rknn-toolkit2 builds: channels and sizes as real networks have them.

Convolutions with every activation that the NPU takes in, sums, gates, joins, pooling, resizing,
attention, norms. Every attribute is written out: the SDK does not know all of ONNX's defaults.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from tests.graph_builder import Builder

SIDE = 12


class Network(Builder):
    """A network of [1, C, SIDE, SIDE] tensors while it grows."""

    def pick(self, *choices: str) -> str:
        return choices[int(self.random.integers(len(choices)))]

    def integers(self, *values: int) -> str:
        name = f"n{len(self.weights)}"
        self.weights[name] = np.array(values, np.int64)
        return name

    def conv(self, x: str, inputs: int, outputs: int, kernel: int = 3, group: int = 1) -> str:
        spread = float(10.0 ** self.random.uniform(-1, 0.3))
        shape = (outputs, inputs // group, kernel, kernel)
        weights = self.weight(*shape, low=-spread, high=spread)
        bias = self.weight(outputs) if self.random.random() < 0.8 else None
        dilation = 2 if kernel == 3 and self.random.random() < 0.2 else 1
        return self.op(
            "Conv",
            *(x, weights, bias) if bias else (x, weights),
            kernel_shape=[kernel] * 2,
            group=group,
            strides=[1, 1],
            dilations=[dilation] * 2,
            pads=[kernel // 2 * dilation] * 4,
        )


def network(seed: int) -> onnx.ModelProto:
    """A stem, two to four blocks of the same shape, one of four heads."""
    n = Network(seed)
    channels = int(n.random.choice([8, 16, 32]))
    x = activation(n, n.conv("x", 3, channels))
    for _ in range(int(n.random.integers(2, 5))):
        block = BLOCKS[int(n.random.integers(len(BLOCKS)))]
        x = block(n, x, channels)
    outputs = [HEADS[int(n.random.integers(len(HEADS)))](n, x, channels)]
    return n.model({"x": [1, 3, SIDE, SIDE]}, outputs, opset=17)


def activation(n: Network, x: str) -> str:
    kind = n.pick(
        "Relu", "Relu", "Clip", "Silu", "Silu", "Gelu", "LeakyRelu", "PRelu", "HardSwish",
        "Sigmoid", "Tanh", "Elu", "Softplus", "none",
    )  # fmt: skip
    if kind == "none":
        return x
    if kind == "Clip":
        return n.op("Clip", x, n.constant(0.0), n.constant(6.0))
    if kind == "Silu":
        return n.op("Mul", x, n.op("Sigmoid", x))
    if kind == "Gelu":
        curve = n.op("Erf", n.op("Div", x, n.constant([2**0.5])))
        return n.op("Mul", n.op("Mul", x, n.op("Add", curve, n.constant([1.0]))), n.constant([0.5]))
    if kind == "PRelu":
        return n.op("PRelu", x, n.constant(np.full((1, 1, 1), 0.2)))
    if kind in ("LeakyRelu", "Elu"):
        return n.op(kind, x, alpha=0.1 if kind == "LeakyRelu" else 1.0)
    return n.op(kind, x)


def plain(n: Network, x: str, channels: int) -> str:
    group = channels if n.random.random() < 0.4 else 1
    return activation(n, n.conv(x, channels, channels, 3, group))


def pointwise(n: Network, x: str, channels: int) -> str:
    return activation(n, n.conv(x, channels, channels, 1))


def residual(n: Network, x: str, channels: int) -> str:
    other = n.conv(plain(n, x, channels), channels, channels, 1)
    if n.random.random() < 0.5:
        other = activation(n, other)
    made = n.op(n.pick("Add", "Add", "Add", "Sub", "Mul"), x, other)
    return activation(n, made)


def two_branches(n: Network, x: str, channels: int) -> str:
    """A sum of two convolutions: one of them is not rounded."""
    one, other = n.conv(x, channels, channels, 1), n.conv(x, channels, channels, 3)
    return activation(n, n.op("Add", one, other))


def gate(n: Network, x: str, channels: int) -> str:
    mean = n.op("GlobalAveragePool", x)
    scores = n.op("Sigmoid", n.conv(mean, channels, channels, 1))
    return n.op("Mul", x, scores)


def join(n: Network, x: str, channels: int) -> str:
    other = plain(n, x, channels)
    joined = n.op("Concat", x, other, axis=1)
    return activation(n, n.conv(joined, 2 * channels, channels, 1))


def split(n: Network, x: str, channels: int) -> str:
    ends = [n.integers(0), n.integers(channels // 2), n.integers(channels)]
    axis = n.integers(1)
    one = n.op("Slice", x, ends[0], ends[1], axis)
    other = n.op("Slice", x, ends[1], ends[2], axis)
    return n.op("Concat", activation(n, other), one, axis=1)


def pool(n: Network, x: str, channels: int) -> str:
    window = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1] * 4}
    if n.random.random() < 0.5:
        return n.op("MaxPool", x, **window)
    return n.op("AveragePool", x, **window, count_include_pad=1)


def down_and_up(n: Network, x: str, channels: int) -> str:
    small = n.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4)
    small = plain(n, small, channels)
    kind = n.pick("nearest", "linear", "transposed")
    if kind == "transposed":
        weights = n.weight(channels, channels, 2, 2)
        return n.op("ConvTranspose", small, weights, kernel_shape=[2, 2], strides=[2, 2])
    mode = {"nearest": "asymmetric", "linear": "half_pixel"}[kind]
    return n.op(
        "Resize",
        *(small, "", n.constant([1, 1, 2, 2])),
        mode=kind,
        coordinate_transformation_mode=mode,
        nearest_mode="floor",
    )


def attention(n: Network, x: str, channels: int) -> str:
    size, places = channels // 2, SIDE * SIDE
    shape = n.integers(1, 2, size, places)
    heads = [n.op("Reshape", n.conv(x, channels, channels, 1), shape) for _ in range(3)]
    query = n.op("Transpose", heads[0], perm=[0, 1, 3, 2])
    scores = n.op("Mul", n.op("MatMul", query, heads[1]), n.constant([size**-0.5]))
    shares = n.op("Softmax", scores, axis=-1)
    mixed = n.op("MatMul", shares, n.op("Transpose", heads[2], perm=[0, 1, 3, 2]))
    mixed = n.op("Transpose", mixed, perm=[0, 1, 3, 2])
    return n.op("Reshape", mixed, n.integers(1, channels, SIDE, SIDE))


def norm(n: Network, x: str, channels: int) -> str:
    last = n.op("Transpose", x, perm=[0, 2, 3, 1])
    affine = n.weight(channels), n.weight(channels)
    made = n.op("LayerNormalization", last, *affine, axis=-1, epsilon=1e-5)
    return n.op("Transpose", made, perm=[0, 3, 1, 2])


def scale(n: Network, x: str, channels: int) -> str:
    """A constant, after a Relu: nothing takes it in."""
    x = n.op("Relu", x)
    return n.op(n.pick("Add", "Mul", "Sub"), x, n.weight(channels, 1, 1, low=0.2))


def features(n: Network, x: str, channels: int) -> str:
    return n.conv(x, channels, 8, 1)


def active(n: Network, x: str, channels: int) -> str:
    return n.op(n.pick("Relu", "Sigmoid", "Tanh"), features(n, x, channels))


def classes(n: Network, x: str, channels: int) -> str:
    flat = n.op("Flatten", n.op("GlobalAveragePool", x), axis=1)
    scores = n.op("Gemm", flat, n.weight(10, channels), n.weight(10), transB=1)
    return n.op("Softmax", scores, axis=1) if n.random.random() < 0.5 else scores


Block = Callable[[Network, str, int], str]
BLOCKS: tuple[Block, ...] = (
    plain, plain, pointwise, residual, residual, two_branches, gate, join, split, pool,
    down_and_up, attention, norm, scale,
)  # fmt: skip
HEADS: tuple[Block, ...] = (features, active, classes)
