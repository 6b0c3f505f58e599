"""Small networks of one operator each, for benchmarks.operators.

Every network is x [1, 8, 16, 16] -> Conv 3x3 to 32 channels -> the case -> Conv 1x1 where the case
leaves four axes with channels. Weights are seeded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.graph_builder import Builder

SHAPE = (1, 8, 16, 16)
CHANNELS, SIDE = 32, 16
Make = Callable[[Builder, str], str]


@dataclass(frozen=True)
class Case:
    """make: adds the case's nodes after a tensor [1, 32, 16, 16], and returns what it leaves.

    operator: of ONNX, that the row is about.
    """

    operator: str
    make: Make
    opset: int = 17


def op(kind: str, **attributes: Any) -> Case:
    """An operator of one input."""
    return Case(kind, lambda b, x: b.op(kind, x, **attributes))


def with_constants(kind: str, *values: Any, **attributes: Any) -> Case:
    """Its further inputs are constants; None stands for one that is left out."""

    def make(b: Builder, x: str) -> str:
        names = ["" if value is None else b.constant(value) for value in values]
        return b.op(kind, x, *names, **attributes)

    return Case(kind, make)


def after_sigmoid(kind: str, **attributes: Any) -> Case:
    return Case(kind, lambda b, x: b.op(kind, b.op("Sigmoid", x), **attributes))


def integers(b: Builder, *values: Any) -> str:
    """A constant of int64, whatever the network's type."""
    name = b.constant([0])
    b.weights[name] = np.array(values, np.int64)
    return name


def with_integers(kind: str, *values: Any, **attributes: Any) -> Case:
    """Its further inputs are constants of int64."""

    def make(b: Builder, x: str) -> str:
        return b.op(kind, x, *(integers(b, *np.atleast_1d(one)) for one in values), **attributes)

    return Case(kind, make)


def to(b: Builder, x: str, *shape: int) -> str:
    return b.op("Reshape", x, integers(b, *shape))


def per_channel(b: Builder, low: float = 0.1) -> str:
    return b.weight(1, CHANNELS, 1, 1, low=low)


def several(kind: str, outputs: int, b: Builder, *inputs: str, **attributes: Any) -> list[str]:
    """A node of several outputs."""
    first = b.op(kind, *inputs, **attributes)
    node = b.nodes[-1]
    node.output.extend(f"{first}_{i}" for i in range(1, outputs))
    return list(node.output)


def swish(b: Builder, x: str) -> str:
    return b.op("Mul", x, b.op("Sigmoid", x))


def gelu(b: Builder, x: str) -> str:
    inner = b.op("Erf", b.op("Div", x, b.constant(np.sqrt(2.0))))
    return b.op("Mul", b.op("Mul", x, b.op("Add", inner, b.constant(1.0))), b.constant(0.5))


def reciprocal(b: Builder, x: str) -> str:
    return b.op("Reciprocal", b.op("Add", b.op("Sigmoid", x), b.constant(1.0)))


def where(b: Builder, x: str) -> str:
    return b.op("Where", b.op("Greater", x, b.constant(0.1)), x, b.constant(0.25))


def where_constant(b: Builder, x: str) -> str:
    mask = b.constant([0])
    b.weights[mask] = b.random.random((1, CHANNELS, SIDE, SIDE)) < 0.5
    return b.op("Where", mask, x, b.constant(0.25))


def compared(kind: str) -> Case:
    def make(b: Builder, x: str) -> str:
        rectified = b.op("Relu", x)
        return b.op("Cast", b.op(kind, rectified, b.constant(0.0)), to=TensorProto.FLOAT)

    return Case(kind, make)


def split_swapped(b: Builder, x: str) -> str:
    one, other = several("Split", 2, b, x, integers(b, 16, 16), axis=1)
    return b.op("Concat", other, one, axis=1)


def shuffled(b: Builder, x: str) -> str:
    y = b.op("Transpose", to(b, x, 1, 4, 8, SIDE, SIDE), perm=[0, 2, 1, 3, 4])
    return to(b, y, 1, CHANNELS, SIDE, SIDE)


def indexed(kind: str, *shape: int, high: int, **attributes: Any) -> Case:
    """Its second input is a constant of indices below `high`."""

    def make(b: Builder, x: str) -> str:
        name = b.constant([0])
        b.weights[name] = b.random.integers(0, high, shape).astype(np.int64)
        return b.op(kind, x, name, **attributes)

    return Case(kind, make)


def scatter_nd(b: Builder, x: str) -> str:
    where_to = integers(b, [0, 3], [0, 7])
    return b.op("ScatterND", x, where_to, b.weight(2, SIDE, SIDE))


def scatter_elements(b: Builder, x: str) -> str:
    name = b.constant([0])
    b.weights[name] = np.tile(np.arange(4), (1, CHANNELS, SIDE, 1)).astype(np.int64)
    return b.op("ScatterElements", x, name, b.weight(1, CHANNELS, SIDE, 4), axis=3)


def grid_sample(b: Builder, x: str) -> str:
    return b.op("GridSample", x, b.weight(1, SIDE, SIDE, 2), mode="bilinear")


def top_k(b: Builder, x: str) -> str:
    return several("TopK", 2, b, x, integers(b, 5), axis=3)[0]


def float_of(kind: str, **attributes: Any) -> Case:
    """An operator that gives integers, cast back."""
    return Case(kind, lambda b, x: b.op("Cast", b.op(kind, x, **attributes), to=TensorProto.FLOAT))


def one_hot(b: Builder, x: str) -> str:
    values = b.constant([0.0, 1.0])
    return b.op("OneHot", b.op("ArgMax", x, axis=1, keepdims=0), integers(b, 32), values, axis=1)


def resize(scale: float, **attributes: Any) -> Case:
    return with_constants("Resize", None, [1.0, 1.0, scale, scale], **attributes)


def convolution(*weights: int, kind: str = "Conv", **attributes: Any) -> Case:
    def make(b: Builder, x: str) -> str:
        return b.op(kind, x, b.weight(*weights, low=-0.2, high=0.2), **attributes)

    return Case(kind, make)


def convolution_3d(b: Builder, x: str) -> str:
    y = b.op("Conv", to(b, x, 1, 8, 4, SIDE, SIDE), b.weight(8, 8, 3, 3, 3), pads=[1] * 6)
    return to(b, y, 1, CHANNELS, SIDE, SIDE)


def convolution_1d(b: Builder, x: str) -> str:
    y = b.op("Conv", to(b, x, 1, CHANNELS, SIDE * SIDE), b.weight(32, 32, 3), pads=[1, 1])
    return to(b, y, 1, CHANNELS, SIDE, SIDE)


def gemm(b: Builder, x: str) -> str:
    return b.op("Gemm", b.op("Flatten", x), b.weight(64, 8192, low=-0.05, high=0.05), transB=1)


def recurrent(kind: str, gates: int, directions: int = 1) -> Case:
    """Over 32 steps of 16 values (the means of the columns), to 32 a direction; all are read."""

    def make(b: Builder, x: str) -> str:
        steps = to(b, b.op("ReduceMean", x, axes=[3], keepdims=1), CHANNELS, 1, SIDE)
        given = [b.weight(directions, gates * 32, size, low=-0.2, high=0.2) for size in (16, 32)]
        bias = b.weight(directions, 2 * gates * 32, low=-0.2, high=0.2)
        told = {"direction": "bidirectional"} if directions == 2 else {}
        return b.op(kind, steps, *given, bias, hidden_size=32, **told)

    return Case(kind, make)


def attention(b: Builder, x: str) -> str:
    rows = b.op("Transpose", to(b, x, 1, CHANNELS, SIDE * SIDE), perm=[0, 2, 1])
    q, k, v = (b.op("MatMul", rows, b.weight(32, 32, low=-0.2, high=0.2)) for _ in range(3))
    scores = b.op("MatMul", q, b.op("Transpose", k, perm=[0, 2, 1]))
    weights = b.op("Softmax", b.op("Mul", scores, b.constant(32**-0.5)), axis=-1)
    y = b.op("Transpose", b.op("MatMul", weights, v), perm=[0, 2, 1])
    return to(b, y, 1, CHANNELS, SIDE, SIDE)


def normalized(kind: str, *shape: int, opset: int = 17, **attributes: Any) -> Case:
    """Scale and bias of a shape."""

    def make(b: Builder, x: str) -> str:
        return b.op(kind, x, b.weight(*shape, low=0.5), b.weight(*shape), **attributes)

    return Case(kind, make, opset)


def rms(b: Builder, x: str) -> str:
    mean = b.op("ReduceMean", b.op("Mul", x, x), axes=[1], keepdims=1)
    return b.op("Div", x, b.op("Sqrt", b.op("Add", mean, b.constant(1e-5))))


def suppression(b: Builder, x: str) -> str:
    boxes = b.op("Slice", to(b, x, 1, 2048, 4), integers(b, 0), integers(b, 64), integers(b, 1))
    scores = b.op("Slice", to(b, x, 1, 1, 8192), integers(b, 0), integers(b, 64), integers(b, 2))
    kept = b.op("NonMaxSuppression", boxes, scores, integers(b, 10), b.constant([0.5]))
    return b.op("Cast", kept, to=TensorProto.FLOAT)


def two(kind: str, **attributes: Any) -> Case:
    """Of two convolutions' outputs."""

    def make(b: Builder, x: str) -> str:
        other = b.op("Conv", x, b.weight(32, 32, 1, 1, low=-0.2, high=0.2))
        return b.op(kind, x, other, **attributes)

    return Case(kind, make)


_LINEAR = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
_CORNERS = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
_NEAREST = {
    "mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor",
}  # fmt: skip
_EDGES = (0, 0, 1, 1, 0, 0, 1, 1)
_WHOLE = (1, CHANNELS, SIDE, SIDE)

CASES: Mapping[str, Case] = {
    "Relu": op("Relu"),
    "LeakyRelu": op("LeakyRelu", alpha=0.1),
    "Clip(0, 6)": with_constants("Clip", 0.0, 6.0),
    "PRelu": Case("PRelu", lambda b, x: b.op("PRelu", x, b.weight(32, 1, 1, low=0.1, high=0.4))),
    "Sigmoid": op("Sigmoid"),
    "Tanh": op("Tanh"),
    "HardSwish": op("HardSwish"),
    "HardSigmoid": op("HardSigmoid"),
    "Mish": Case("Mish", lambda b, x: b.op("Mish", x), 18),
    "x * Tanh(Softplus)": Case(
        "Softplus", lambda b, x: b.op("Mul", x, b.op("Tanh", b.op("Softplus", x)))
    ),
    "Elu": op("Elu"),
    "Selu": op("Selu"),
    "Celu": op("Celu"),
    "Softplus": op("Softplus"),
    "Softsign": op("Softsign"),
    "ThresholdedRelu": op("ThresholdedRelu", alpha=0.5),
    "Swish (x * Sigmoid)": Case("Sigmoid", swish),
    "Gelu (Erf)": Case("Erf", gelu),
    "Gelu (opset 20)": Case("Gelu", lambda b, x: b.op("Gelu", x), 20),
    "Erf": op("Erf"),
    "Exp": op("Exp"),
    "Log(Sigmoid)": after_sigmoid("Log"),
    "Sqrt(Sigmoid)": after_sigmoid("Sqrt"),
    "Reciprocal(Sigmoid + 1)": Case("Reciprocal", reciprocal),
    "Abs": op("Abs"),
    "Neg": op("Neg"),
    "Floor": op("Floor"),
    "Ceil": op("Ceil"),
    "Round": op("Round"),
    "Sign": op("Sign"),
    "Sin": op("Sin"),
    "Cos": op("Cos"),
    "Atan": op("Atan"),
    "Pow(2)": with_constants("Pow", 2.0),
    "Pow(3)": with_constants("Pow", 3.0),
    "Pow(0.5) of Sigmoid": Case(
        "Pow", lambda b, x: b.op("Pow", b.op("Sigmoid", x), b.constant(0.5))
    ),
    "Mod(fmod=1)": with_constants("Mod", 0.7, fmod=1),
    "Add (tensor)": two("Add"),
    "Mul (tensor)": two("Mul"),
    "Sub (tensor)": two("Sub"),
    "Max (tensor)": two("Max"),
    "Add (constant)": Case("Add", lambda b, x: b.op("Add", x, per_channel(b))),
    "Mul (constant)": Case("Mul", lambda b, x: b.op("Mul", x, per_channel(b))),
    "Sub (constant)": Case("Sub", lambda b, x: b.op("Sub", x, per_channel(b))),
    "Div (constant)": Case("Div", lambda b, x: b.op("Div", x, per_channel(b, 0.5))),
    "Max (constant)": with_constants("Max", 0.1),
    "Min (constant)": with_constants("Min", 0.1),
    "BatchNormalization after Relu": Case(
        "BatchNormalization", lambda b, x: b.batch_norm(b.op("Relu", x), CHANNELS)
    ),
    "LayerNormalization (last axis)": normalized("LayerNormalization", 16, axis=-1, epsilon=1e-5),
    "LayerNormalization (C, H, W)": normalized(
        "LayerNormalization", 32, 16, 16, axis=1, epsilon=1e-5
    ),
    "InstanceNormalization": normalized("InstanceNormalization", 32),
    "GroupNormalization (opset 21)": normalized("GroupNormalization", 32, opset=21, num_groups=4),
    "RMS over channels": Case("ReduceMean", rms),
    "LpNormalization(axis 1)": op("LpNormalization", axis=1, p=2),
    "LRN": op("LRN", size=5),
    "MeanVarianceNormalization": op("MeanVarianceNormalization", axes=[0, 2, 3]),
    "Softmax(axis 1)": op("Softmax", axis=1),
    "Softmax(axis 2)": op("Softmax", axis=2),
    "Softmax(axis 3)": op("Softmax", axis=3),
    "LogSoftmax(axis 1)": op("LogSoftmax", axis=1),
    "CumSum(axis 1)": with_integers("CumSum", 1),
    "Where(Greater)": Case("Where", where),
    "Where(constant mask)": Case("Where", where_constant),
    "Transpose(0, 1, 3, 2)": op("Transpose", perm=[0, 1, 3, 2]),
    "Transpose(0, 2, 3, 1)": op("Transpose", perm=[0, 2, 3, 1]),
    "DepthToSpace(DCR)": op("DepthToSpace", blocksize=2),
    "DepthToSpace(CRD)": op("DepthToSpace", blocksize=2, mode="CRD"),
    "SpaceToDepth": op("SpaceToDepth", blocksize=2),
    "Pad(constant)": Case(
        "Pad", lambda b, x: b.op("Pad", x, integers(b, *_EDGES), b.constant(0.0))
    ),
    "Pad(reflect)": with_integers("Pad", _EDGES, mode="reflect"),
    "Pad(edge)": with_integers("Pad", _EDGES, mode="edge"),
    "Slice(step 2)": with_integers("Slice", [0, 0], [16, 16], [2, 3], [2, 2]),
    "Slice(channels)": with_integers("Slice", 0, 16, 1),
    "Split + Concat (swapped)": Case("Split", split_swapped),
    "Concat(axis 1)": two("Concat", axis=1),
    "Tile": with_integers("Tile", [1, 1, 2, 2]),
    "Expand": Case(
        "Expand",
        lambda b, x: b.op("Expand", b.op("GlobalAveragePool", x), integers(b, *_WHOLE)),
    ),
    "Flatten": op("Flatten"),
    "Gather(axis 1)": indexed("Gather", 16, high=32, axis=1),
    "Gather(axis 3)": indexed("Gather", 8, high=16, axis=3),
    "GatherElements(axis 3)": indexed("GatherElements", 1, 32, 16, 8, high=16, axis=3),
    "GatherND": Case("GatherND", lambda b, x: b.op("GatherND", x, integers(b, [0, 3], [0, 9]))),
    "ScatterND": Case("ScatterND", scatter_nd),
    "ScatterElements": Case("ScatterElements", scatter_elements),
    "GridSample": Case("GridSample", grid_sample),
    "TopK(5)": Case("TopK", top_k),
    "ArgMax(axis 1)": float_of("ArgMax", axis=1),
    "OneHot(ArgMax)": Case("OneHot", one_hot),
    "NonZero": float_of("NonZero"),
    "NonMaxSuppression": Case("NonMaxSuppression", suppression),
    "ReduceMean(H, W)": op("ReduceMean", axes=[2, 3]),
    "ReduceMean(C)": op("ReduceMean", axes=[1]),
    "ReduceSum(C)": with_integers("ReduceSum", 1),
    "ReduceMax(C)": op("ReduceMax", axes=[1]),
    "ReduceMin(C)": op("ReduceMin", axes=[1]),
    "ReduceL2(C)": op("ReduceL2", axes=[1]),
    "ReduceProd(W)": op("ReduceProd", axes=[3]),
    "MaxPool(3, 2)": op("MaxPool", kernel_shape=[3, 3], strides=[2, 2]),
    "AveragePool(2, 2)": op("AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
    "AveragePool(3, 1), padded": op("AveragePool", kernel_shape=[3, 3], pads=[1] * 4),
    "AveragePool(3, 1), padding counted": op(
        "AveragePool", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1
    ),
    "GlobalMaxPool": op("GlobalMaxPool"),
    "GlobalAveragePool": op("GlobalAveragePool"),
    "LpPool(2)": op("LpPool", kernel_shape=[2, 2], strides=[2, 2]),
    "Resize(nearest x2)": resize(2.0, **_NEAREST),
    "Resize(nearest x0.5)": resize(0.5, **_NEAREST),
    "Resize(linear half_pixel x2)": resize(2.0, **_LINEAR),
    "Resize(linear align_corners x2)": resize(2.0, **_CORNERS),
    "ConvTranspose(stride 2)": convolution(32, 32, 2, 2, kind="ConvTranspose", strides=[2, 2]),
    "ConvTranspose(stride 2, depthwise)": convolution(
        32, 1, 2, 2, kind="ConvTranspose", strides=[2, 2], group=32
    ),
    "Conv(groups 4)": convolution(32, 8, 3, 3, pads=[1] * 4, group=4),
    "Conv(depthwise)": convolution(32, 1, 3, 3, pads=[1] * 4, group=32),
    "Conv(dilation 2)": convolution(32, 32, 3, 3, pads=[2] * 4, dilations=[2, 2]),
    "Conv (1 axis)": Case("Conv", convolution_1d),
    "Conv (3 axes)": Case("Conv", convolution_3d),
    "MatMul (two tensors)": two("MatMul"),
    "MatMul (constant)": Case("MatMul", lambda b, x: b.op("MatMul", x, b.weight(16, 16))),
    "Gemm": Case("Gemm", gemm),
    "Einsum(bchw,bcwk->bchk)": two("Einsum", equation="bchw,bcwk->bchk"),
    "Attention (Softmax(QK)V)": Case("Attention", attention),
    "LSTM": recurrent("LSTM", 4),
    "LSTM (bidirectional)": recurrent("LSTM", 4, 2),
    "GRU": recurrent("GRU", 3),
    "RNN": recurrent("RNN", 1),
    "Greater + Cast": compared("Greater"),
    "Equal + Cast": compared("Equal"),
    "Trilu": op("Trilu"),
    "ReverseSequence": with_integers("ReverseSequence", [5] * 1, batch_axis=0, time_axis=1),
    "Shuffle (Reshape, Transpose)": Case("Transpose", shuffled),
    "Identity": op("Identity"),
    "Dropout": op("Dropout"),
}


def network(name: str, seed: int = 0) -> onnx.ModelProto:
    """The case's network: one input `x`, one output `y`."""
    case = CASES[name]
    b = Builder(seed)
    head = b.op("Conv", "x", b.weight(CHANNELS, SHAPE[1], 3, 3, low=-0.3, high=0.3), pads=[1] * 4)
    y = case.make(b, head)
    shape = _shape(b, y, case.opset)
    if len(shape) == 4 and isinstance(shape[1], int) and 1 < shape[1] <= 128:
        y = b.op("Conv", y, b.weight(16, shape[1], 1, 1, low=-0.3, high=0.3))
        shape = _shape(b, y, case.opset)
    return _model(b, y, shape, case.opset)


def _model(b: Builder, y: str, shape: list[Any], opset: int) -> onnx.ModelProto:
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in b.nodes]
    for node in nodes:
        node.output[:] = ["y" if name == y else name for name in node.output]
        node.input[:] = ["y" if name == y else name for name in node.input]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, SHAPE)],
        [value("y", TensorProto.FLOAT, shape)],
        [_initializer(name, held) for name, held in b.weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def _initializer(name: str, held: Any) -> onnx.TensorProto:
    """Integers not as raw bytes, in which the SDK's Pad fails: `destination is read-only`."""
    if held.dtype != np.int64:
        return onnx.numpy_helper.from_array(held, name)
    return helper.make_tensor(name, TensorProto.INT64, held.shape, held.flatten().tolist())


def _shape(b: Builder, tensor: str, opset: int) -> list[Any]:
    """As ONNX infers it; a text where an axis depends on values."""
    made = _model(b, tensor, [], opset)
    made.graph.output[0].type.tensor_type.ClearField("shape")
    known = onnx.shape_inference.infer_shapes(made, strict_mode=True).graph.output[0]
    return [
        axis.dim_value if axis.HasField("dim_value") else axis.dim_param or "n"
        for axis in known.type.tensor_type.shape.dim
    ]
