"""Seeded random float graphs of the operators that fixed_point knows: small, and of odd shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 15
Shape = tuple[int, ...]


class RandomGraph:
    """One graph while it grows. `open` are the tensors that a next node may read, with shapes."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.shapes: dict[str, Shape] = {}

    def whole(self, low: int, high: int) -> int:
        """low <= n <= high"""
        return int(self.random.integers(low, high + 1))

    def weight(self, shape: Shape, spread: float = 1.0) -> str:
        name = f"w{len(self.weights)}"
        values = (self.random.standard_normal(shape) * spread).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def whole_numbers(self, *numbers: int) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(numbers, np.int64), name))
        return name

    def number(self, value: float) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def add(self, kind: str, inputs: list[str], shape: Shape, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        self.shapes[name] = shape
        return name

    def model(self, inputs: list[str], outputs: list[str]) -> onnx.ModelProto:
        def value(name: str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[name])

        graph = helper.make_graph(
            self.nodes, "random", list(map(value, inputs)), list(map(value, outputs)), self.weights
        )
        opset = helper.make_opsetid("", OPSET)
        made = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        onnx.checker.check_model(made, full_check=True)
        return made


def random_graph(seed: int) -> onnx.ModelProto:
    """A graph of one or two image inputs, some blocks, and a head of one or two outputs."""
    g = RandomGraph(seed)
    shape = (1, g.whole(1, 5), g.whole(5, 9), g.whole(5, 9))
    inputs = ["image"]
    g.shapes["image"] = shape
    x = "image"
    if g.random.random() < 0.2:
        g.shapes["other"] = shape
        inputs.append("other")
        x = g.add("Add", ["image", "other"], shape)
    for _ in range(g.whole(1, 4)):
        x = BLOCKS[g.whole(0, len(BLOCKS) - 1)](g, x)
    outputs = [HEADS[g.whole(0, len(HEADS) - 1)](g, x)]
    if outputs[0] in inputs:
        outputs = [g.add("Relu", [x], g.shapes[x])]
    if g.random.random() < 0.2 and x not in (*outputs, *inputs):
        outputs.append(x)
    return g.model(inputs, outputs)


def conv(g: RandomGraph, x: str, act: bool = True) -> str:
    n, channels, height, width = g.shapes[x]
    groups = channels if g.random.random() < 0.3 else 1
    if groups == 1 and channels % 2 == 0 and g.random.random() < 0.2:
        groups = 2
    out = groups * g.whole(1, 2) if groups > 1 else g.whole(1, 6)
    kernel = (g.whole(1, 3), g.whole(1, 3))
    stride = g.whole(1, 2)
    dilation = 1 if stride == 2 else g.whole(1, 2)
    pads = [g.whole(0, k // 2 + 1) for k in (*kernel, *kernel)]
    lengths = [
        (length + pads[i] + pads[i + 2] - (kernel[i] - 1) * dilation - 1) // stride + 1
        for i, length in enumerate((height, width))
    ]
    if min(lengths) < 1:
        return x
    inputs = [x, g.weight((out, channels // groups, *kernel), 10.0 ** g.whole(-2, 1))]
    if g.random.random() < 0.7:
        inputs.append(g.weight((out,), 10.0 ** g.whole(-2, 1)))
    made = g.add(
        "Conv",
        inputs,
        (n, out, lengths[0], lengths[1]),
        group=groups,
        strides=[stride] * 2,
        dilations=[dilation] * 2,
        pads=pads,
        kernel_shape=list(kernel),
    )
    return activation(g, made) if act else made


def activation(g: RandomGraph, x: str) -> str:
    kind = g.whole(0, 9)
    shape = g.shapes[x]
    if kind == 0:
        return x
    if kind in (1, 2):
        return g.add("Relu", [x], shape)
    if kind in (3, 4):
        return g.add("Clip", [x, g.number(0.0), g.number(6.0)], shape)
    if kind == 5:
        return g.add("Clip", [x, g.number(-1.0), g.number(1.5)], shape)
    if kind == 6:
        return g.add("Mul", [x, g.add("Sigmoid", [x], shape)], shape)
    if kind == 7:
        return g.add("LeakyRelu", [x], shape, alpha=0.1)
    if kind == 8:
        return g.add("HardSwish", [x], shape)
    return g.add("Tanh", [x], shape)


def residual(g: RandomGraph, x: str) -> str:
    shape = g.shapes[x]
    inputs = [x, g.weight((shape[1], shape[1], 1, 1))]
    other = activation(g, g.add("Conv", inputs, shape, kernel_shape=[1, 1]))
    kind = ("Add", "Sub", "Mul")[g.whole(0, 2)]
    return activation(g, g.add(kind, [x, other], shape))


def gate(g: RandomGraph, x: str) -> str:
    """Squeeze and excitation: a mean over the picture scales each channel."""
    n, channels, height, width = g.shapes[x]
    mean = g.add("GlobalAveragePool", [x], (n, channels, 1, 1))
    weight = g.weight((channels, channels, 1, 1))
    made = g.add("Conv", [mean, weight], (n, channels, 1, 1), kernel_shape=[1, 1])
    kind = ("Sigmoid", "HardSigmoid")[g.whole(0, 1)]
    return g.add("Mul", [x, g.add(kind, [made], (n, channels, 1, 1))], (n, channels, height, width))


def batch_norm(g: RandomGraph, x: str) -> str:
    """A BatchNormalization between activations, which nothing can take in."""
    shape = g.shapes[x]
    x = g.add("Relu", [x], shape)
    mean, variance = g.weight((shape[1],)), f"w{len(g.weights)}"
    values = g.random.uniform(0.1, 4, shape[1]).astype(np.float32)
    g.weights.append(numpy_helper.from_array(values, variance))
    inputs = [x, g.weight((shape[1],)), g.weight((shape[1],)), mean, variance]
    return activation(g, g.add("BatchNormalization", inputs, shape))


def concat(g: RandomGraph, x: str) -> str:
    n, _, height, width = g.shapes[x]
    other = conv(g, x)
    if g.shapes[other][2:] != (height, width):
        other = activation(g, x)
    channels = g.shapes[x][1] + g.shapes[other][1]
    return g.add("Concat", [x, other], (n, channels, height, width), axis=1)


def split(g: RandomGraph, x: str) -> str:
    n, channels, height, width = g.shapes[x]
    if channels < 2:
        return x
    first = g.whole(1, channels - 1)
    starts, ends = g.whole_numbers(0), g.whole_numbers(first)
    axes = g.whole_numbers(1)
    one = g.add("Slice", [x, starts, ends, axes], (n, first, height, width))
    rest = g.whole_numbers(channels)
    other = g.add("Slice", [x, ends, rest, axes], (n, channels - first, height, width))
    return g.add("Concat", [activation(g, other), one], (n, channels, height, width), axis=1)


def pool(g: RandomGraph, x: str) -> str:
    n, channels, height, width = g.shapes[x]
    kernel = [g.whole(1, 3), g.whole(1, 3)]
    strides = [g.whole(1, 2), g.whole(1, 2)]
    pads = [g.whole(0, k - 1) for k in (*kernel, *kernel)]
    lengths = [
        (length + pads[i] + pads[i + 2] - kernel[i]) // strides[i] + 1
        for i, length in enumerate((height, width))
    ]
    if min(lengths) < 1:
        return x
    shape = (n, channels, lengths[0], lengths[1])
    window = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    if g.random.random() < 0.5:
        return g.add("MaxPool", [x], shape, **window)
    return g.add("AveragePool", [x], shape, **window, count_include_pad=g.whole(0, 1))


def pad(g: RandomGraph, x: str) -> str:
    n, channels, height, width = g.shapes[x]
    around = [0, 0, g.whole(0, 2), g.whole(0, 2), 0, 0, g.whole(0, 2), g.whole(0, 2)]
    shape = (n, channels, height + around[2] + around[6], width + around[3] + around[7])
    mode = ("constant", "edge", "constant")[g.whole(0, 2)]
    inputs = [x, g.whole_numbers(*around)]
    if mode == "constant":
        inputs.append(g.number(float(g.random.uniform(-1, 1))))
    return g.add("Pad", inputs, shape, mode=mode)


def resize(g: RandomGraph, x: str) -> str:
    n, channels, height, width = g.shapes[x]
    if height * width > 60:
        return x
    name = f"w{len(g.weights)}"
    g.weights.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), name))
    mode = ("asymmetric", "half_pixel")[g.whole(0, 1)]
    return g.add(
        "Resize",
        [x, "", name],
        (n, channels, 2 * height, 2 * width),
        mode="nearest",
        coordinate_transformation_mode=mode,
        nearest_mode="floor",
    )


def move(g: RandomGraph, x: str) -> str:
    """Channels last and back, with an operation between."""
    n, channels, height, width = g.shapes[x]
    last = g.add("Transpose", [x], (n, height, width, channels), perm=[0, 2, 3, 1])
    scaled = g.add("Mul", [last, g.weight((channels,))], (n, height, width, channels))
    shape = (n, channels, height, width)
    return g.add("Transpose", [activation(g, scaled)], shape, perm=[0, 3, 1, 2])


def constant(g: RandomGraph, x: str) -> str:
    shape = g.shapes[x]
    kind = ("Add", "Mul", "Sub", "Div")[g.whole(0, 3)]
    if kind == "Div":
        return g.add(kind, [x, g.number(float(g.random.uniform(0.3, 4)))], shape)
    return g.add(kind, [x, g.weight((shape[1], 1, 1))], shape)


def flat(g: RandomGraph, x: str) -> str:
    count = int(np.prod(g.shapes[x]))
    return g.add("Flatten", [x], (1, count))


def dense(g: RandomGraph, x: str) -> str:
    x = flat(g, x)
    rows, columns = g.shapes[x][1], g.whole(2, 7)
    spread = 1 / np.sqrt(rows)
    if g.random.random() < 0.5:
        inputs = [x, g.weight((columns, rows), spread), g.weight((columns,))]
        return g.add("Gemm", inputs, (1, columns), transB=1)
    product = g.add("MatMul", [x, g.weight((rows, columns), spread)], (1, columns))
    return g.add("Add", [product, g.weight((columns,))], (1, columns))


def classify(g: RandomGraph, x: str) -> str:
    made = dense(g, x)
    return g.add("Softmax", [made], g.shapes[made], axis=1)


def average(g: RandomGraph, x: str) -> str:
    shape = g.shapes[x]
    mean = g.add("GlobalAveragePool", [x], (*shape[:2], 1, 1))
    return flat(g, mean)


def reduced(g: RandomGraph, x: str) -> str:
    shape = g.shapes[x]
    kind = ("ReduceMean", "ReduceMax", "ReduceMean")[g.whole(0, 2)]
    return g.add(kind, [x], shape[:2], axes=[2, 3], keepdims=0)


def mixture(g: RandomGraph, x: str) -> str:
    """Experts weighted by a gate, as in MMoE."""
    x = flat(g, x)
    rows, experts, units = g.shapes[x][1], g.whole(2, 4), g.whole(2, 5)
    spread = 1 / np.sqrt(rows)
    made = g.add("MatMul", [x, g.weight((rows, experts * units), spread)], (1, experts * units))
    made = g.add("Relu", [made], (1, experts * units))
    shape = (1, experts, units)
    values = g.add("Reshape", [made, g.whole_numbers(*shape)], shape)
    scores = g.add("Gemm", [x, g.weight((rows, experts), spread)], (1, experts))
    gates = g.add("Softmax", [scores], (1, experts), axis=1)
    column = g.add("Reshape", [gates, g.whole_numbers(1, experts, 1)], (1, experts, 1))
    weighted = g.add("Mul", [values, column], shape)
    return g.add("ReduceSum", [weighted, g.whole_numbers(1)], (1, units), keepdims=0)


Block = Callable[[RandomGraph, str], str]
BLOCKS: tuple[Block, ...] = (
    conv, conv, conv, conv, residual, gate, batch_norm, concat, split, pool, pool, pad, resize,
    move, constant,
)  # fmt: skip
HEADS: tuple[Block, ...] = (dense, classify, average, reduced, mixture, conv, activation)
