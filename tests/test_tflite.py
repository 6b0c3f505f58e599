"""TFLite files read into ONNX, each held against LiteRT by the export itself."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import numpy_helper

from pipelines.recipe.define.model import Source
from pipelines.run.jobs.job import Job
from pipelines.stages.export.jobs import from_tflite as export_tflite
from pipelines.stages.export.jobs.look import at_tflite
from pipelines.stages.export.jobs.params import Declared, ExportParams
from quant.fault import Fault
from quant.tflite import ops
from quant.tflite.export import export
from quant.tflite.metadata import read_metadata
from tests.conftest import ROOT
from tests.job_runner import Told, Work, run_here, source
from tests.tflite_builder import Network, options

DATA = ROOT / "tests" / "data"
SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
RELU = schema.ActivationFunctionType.RELU
RELU6 = schema.ActivationFunctionType.RELU6
RELU_N1 = schema.ActivationFunctionType.RELU_N1_TO_1
TANH = schema.ActivationFunctionType.TANH
CODES = {code: kind for kind, code in vars(schema.BuiltinOperator).items()}
Make = Callable[[Network], "int | list[int]"]


def image(n: Network, height: int = 7, width: int = 6, channels: int = 4) -> int:
    return n.input(1, height, width, channels)


def conv(n: Network, x: int, outputs: int = 5, inputs: int = 4, **fields: int) -> int:
    fields = {"padding": SAME, "strideW": 1, "strideH": 1} | fields
    weights, bias = n.weights(outputs, 3, 2, inputs), n.weights(outputs)
    return n.op("CONV_2D", x, weights, bias, given=options("Conv2D", **fields))


def depthwise(n: Network, x: int, multiplier: int, **fields: int) -> int:
    fields = {"padding": SAME, "strideW": 1, "strideH": 1, "depthMultiplier": multiplier} | fields
    weights, bias = n.weights(1, 3, 3, 4 * multiplier), n.weights(4 * multiplier)
    return n.op("DEPTHWISE_CONV_2D", x, weights, bias, given=options("DepthwiseConv2D", **fields))


def pool(n: Network, x: int, kind: str, kernel: int, stride: int, padding: int) -> int:
    return n.op(
        kind,
        x,
        given=options(
            "Pool2D",
            padding=padding,
            filterHeight=kernel,
            filterWidth=kernel,
            strideH=stride,
            strideW=stride,
        ),
    )


def transpose_conv(n: Network, out: int, stride: int, padding: int, bias: bool) -> int:
    x = n.input(1, 4, 5, 3)
    inputs = [n.integers(1, out, out + stride, 6), n.weights(6, 3, 3, 3), x]
    inputs += [n.weights(6)] if bias else []
    given = options("TransposeConv", padding=padding, strideH=stride, strideW=stride)
    return n.op("TRANSPOSE_CONV", *inputs, given=given)


def dense(n: Network, x: int, inputs: int, outputs: int = 5, **fields: int) -> int:
    given = options("FullyConnected", **fields)
    return n.op("FULLY_CONNECTED", x, n.weights(outputs, inputs), n.weights(outputs), given=given)


def reduce(n: Network, kind: str, *axes: int, keep: bool = False) -> int:
    x = conv(n, image(n))
    return n.op(kind, x, n.integers(*axes), given=options("Reducer", keepDims=keep))


def resized(kind: str, height: int, width: int, **fields: bool) -> Make:
    def make(n: Network) -> int:
        name = "".join(word.capitalize() for word in kind.split("_"))
        return n.op(kind, image(n), n.integers(height, width), given=options(name, **fields))

    return make


def positive(n: Network, x: int) -> int:
    return n.op("ADD", n.op("ABS", x), n.constant(0.1, np.float32), given=options("Add"))


def strided(n: Network, x: int, spec: list[tuple[int, int, int]], **masks: int) -> int:
    columns = [n.integers(*column) for column in zip(*spec, strict=True)]
    return n.op("STRIDED_SLICE", x, *columns, given=options("StridedSlice", **masks))


def with_fused(n: Network, kind: str, name: str, activation: int) -> int:
    x = conv(n, image(n))
    return n.op(kind, x, n.weights(5), given=options(name, fusedActivationFunction=activation))


def squeeze_excite(n: Network) -> int:
    x = conv(n, image(n))
    mean = n.op("MEAN", x, n.integers(1, 2), given=options("Reducer", keepDims=False))
    gate = n.op("LOGISTIC", dense(n, mean, 5))
    gate = n.op("RESHAPE", gate, n.integers(1, 1, 1, 5), given=options("Reshape"))
    return conv(n, n.op("MUL", x, gate, given=options("Mul")), inputs=5)


def dynamic_flatten(n: Network) -> int:
    """As Keras writes Flatten for a batch that isn't fixed: the shape is computed."""
    x = conv(n, n.input(1, 7, 6, 4, signature=(-1, 7, 6, 4)))
    shape = n.op("SHAPE", x, given=options("Shape", outType=2), dtype=np.int32)
    batch = n.op(
        "STRIDED_SLICE",
        shape,
        *(n.integers(i) for i in (0, 1, 1)),
        given=options("StridedSlice", shrinkAxisMask=1),
        dtype=np.int32,
    )
    parts = [batch, n.constant(210, np.int32)]
    packed = n.op("PACK", *parts, given=options("Pack", valuesCount=2), dtype=np.int32)
    return dense(n, n.op("RESHAPE", x, packed, given=options("Reshape")), 210)


def attention(n: Network) -> int:
    """Tokens from an image: [1, H, W, C] -> [1, HW, C], scores = q k^T, then back."""
    x = n.op("RESHAPE", conv(n, image(n)), n.integers(1, 42, 5), given=options("Reshape"))
    q, k = dense(n, x, 5, keepNumDims=True), dense(n, x, 5, keepNumDims=True)
    scores = n.op("BATCH_MATMUL", q, k, given=options("BatchMatMul", adjY=True))
    weights = n.op("SOFTMAX", scores, given=options("Softmax", beta=0.4))
    mixed = n.op("BATCH_MATMUL", weights, x, given=options("BatchMatMul"))
    back = n.op("RESHAPE", mixed, n.integers(1, 7, 6, 5), given=options("Reshape"))
    return conv(n, back, inputs=5)


def unary(kind: str, name: str = "", **fields: float) -> Make:
    def make(n: Network) -> int:
        return n.op(kind, conv(n, image(n)), given=options(name, **fields) if name else None)

    return make


def of_positive(kind: str) -> Make:
    def make(n: Network) -> int:
        return n.op(kind, positive(n, conv(n, image(n))))

    return make


def binary(kind: str, name: str, *shape: int) -> Make:
    def make(n: Network) -> int:
        x = conv(n, image(n))
        numbers = n.random.uniform(0.5, 2, shape).astype(np.float32)
        other = n.constant(numbers) if shape else positive(n, conv(n, x, inputs=5))
        return n.op(kind, x, other, given=options(name))

    return make


def compared(kind: str, name: str) -> Make:
    def make(n: Network) -> int:
        x = image(n)
        y = n.op("NEG", x)
        choice = n.op(kind, x, y, given=options(name), dtype=np.bool_)
        return n.op("SELECT_V2", choice, x, n.op("EXP", y), given=options("SelectV2"))

    return make


def phases(n: Network, crop: int, kernel: int = 3, **fields: int) -> int:
    """A dilated convolution as SPACE_TO_BATCH_ND, convolution, BATCH_TO_SPACE_ND."""
    block = n.integers(2, 3)
    pads = n.constant([[1, 2], [3, 3]], np.int32)
    split = n.op("SPACE_TO_BATCH_ND", image(n, 7, 6), block, pads)
    given = options("Conv2D", padding=VALID, strideW=1, strideH=1, **fields)
    made = n.op("CONV_2D", split, n.weights(5, kernel, kernel, 4), n.weights(5), given=given)
    return n.op("BATCH_TO_SPACE_ND", made, block, n.constant([[0, crop], [1, 0]], np.int32))


def logic(n: Network) -> int:
    x = image(n)
    zero, one = n.constant(0, np.float32), n.constant(1, np.float32)
    low = n.op("LESS", x, zero, given=options("Less"), dtype=np.bool_)
    high = n.op("GREATER", x, one, given=options("Greater"), dtype=np.bool_)
    both = n.op("LOGICAL_AND", low, high, given=options("LogicalAnd"), dtype=np.bool_)
    other = n.op("LOGICAL_NOT", low, dtype=np.bool_)
    either = n.op("LOGICAL_OR", both, other, given=options("LogicalOr"), dtype=np.bool_)
    return n.op("SELECT", either, x, n.weights(1, 7, 6, 4), given=options("Select"))


# name -> how to make it, and the ONNX operators that it must become
NETWORKS: dict[str, tuple[Make, str]] = {
    "conv same": (lambda n: conv(n, image(n)), "Conv"),
    "conv same stride 2 odd": (lambda n: conv(n, image(n), strideH=2, strideW=2), "Conv"),
    "conv same stride 3": (lambda n: conv(n, image(n, 8, 8), strideH=3, strideW=3), "Conv"),
    "conv valid": (lambda n: conv(n, image(n), padding=VALID, strideH=2), "Conv"),
    "conv dilated": (
        lambda n: conv(n, image(n), dilationHFactor=2, dilationWFactor=3),
        "Conv",
    ),
    "conv grouped": (lambda n: conv(n, image(n, channels=8), outputs=6), "Conv"),
    "conv relu": (lambda n: conv(n, image(n), fusedActivationFunction=RELU), "Conv Relu"),
    "conv relu6": (lambda n: conv(n, image(n), fusedActivationFunction=RELU6), "Conv Clip"),
    "depthwise": (lambda n: depthwise(n, image(n), 1), "Conv"),
    "depthwise multiplier": (lambda n: depthwise(n, image(n), 3, strideH=2, strideW=2), "Conv"),
    "depthwise dilated": (
        lambda n: depthwise(n, image(n), 2, dilationHFactor=2, dilationWFactor=2),
        "Conv",
    ),
    "conv of phases": (lambda n: phases(n, 1), "Conv"),
    "conv of phases relu": (lambda n: phases(n, 2, 2, fusedActivationFunction=RELU), "Conv Relu"),
    "transpose conv same": (lambda n: transpose_conv(n, 8, 2, SAME, True), "ConvTranspose"),
    "transpose conv valid": (lambda n: transpose_conv(n, 9, 2, VALID, False), "ConvTranspose"),
    "average pool same": (
        lambda n: pool(n, image(n), "AVERAGE_POOL_2D", 3, 2, SAME),
        "AveragePool",
    ),
    "average pool same even": (
        lambda n: pool(n, image(n), "AVERAGE_POOL_2D", 2, 1, SAME),
        "AveragePool",
    ),
    "average pool valid": (
        lambda n: pool(n, image(n), "AVERAGE_POOL_2D", 3, 2, VALID),
        "AveragePool",
    ),
    "average pool whole": (
        lambda n: pool(n, image(n, 6, 6), "AVERAGE_POOL_2D", 6, 6, VALID),
        "GlobalAveragePool",
    ),
    "max pool same": (lambda n: pool(n, image(n), "MAX_POOL_2D", 3, 2, SAME), "MaxPool"),
    "max pool valid": (lambda n: pool(n, image(n), "MAX_POOL_2D", 2, 2, VALID), "MaxPool"),
    "dense": (lambda n: dense(n, n.input(3, 8), 8), "Gemm"),
    "dense relu": (
        lambda n: dense(n, n.input(3, 8), 8, fusedActivationFunction=RELU),
        "Gemm Relu",
    ),
    "dense on an image": (lambda n: dense(n, conv(n, image(n)), 210), "Conv Reshape Gemm"),
    "dense keeps axes": (lambda n: dense(n, n.input(1, 3, 8), 8, keepNumDims=True), "MatMul Add"),
    "dense over channels": (
        lambda n: dense(n, conv(n, image(n)), 5, keepNumDims=True),
        "Conv Conv",
    ),
    "dense rows of an image": (
        lambda n: dense(n, conv(n, image(n)), 5),
        "Conv Reshape Transpose Gemm",
    ),
    "flatten dense": (
        lambda n: dense(
            n,
            n.op("RESHAPE", conv(n, image(n)), n.integers(1, -1), given=options("Reshape")),
            210,
        ),
        "Conv Reshape Gemm",
    ),
    "flatten of a dynamic batch": (dynamic_flatten, "Conv Reshape Gemm"),
    "attention": (
        attention,
        "Conv Reshape Transpose MatMul Add MatMul Add Transpose MatMul Mul Softmax MatMul "
        "Reshape Transpose Conv",
    ),
    "squeeze excite": (
        squeeze_excite,
        "Conv GlobalAveragePool Reshape Gemm Sigmoid Reshape Mul Conv",
    ),
    "add images": (binary("ADD", "Add"), "Conv Conv Abs Add Add"),
    "add channels": (binary("ADD", "Add", 5), "Conv Add"),
    "sub width": (binary("SUB", "Sub", 6, 1), "Conv Sub"),
    "mul scalar": (binary("MUL", "Mul", 1), "Conv Mul"),
    "div full": (binary("DIV", "Div", 1, 7, 6, 5), "Conv Div"),
    "maximum": (binary("MAXIMUM", "MaximumMinimum", 5), "Conv Max"),
    "minimum": (binary("MINIMUM", "MaximumMinimum", 7, 1, 5), "Conv Min"),
    "squared difference": (
        binary("SQUARED_DIFFERENCE", "SquaredDifference", 5),
        "Conv Sub Mul",
    ),
    "pow": (
        lambda n: n.op("POW", positive(n, image(n)), n.constant(2.5, np.float32)),
        "Abs Add Pow",
    ),
    "add relu": (lambda n: with_fused(n, "ADD", "Add", RELU), "Conv Add Relu"),
    "mul relu6": (lambda n: with_fused(n, "MUL", "Mul", RELU6), "Conv Mul Clip"),
    "sub relu n1": (lambda n: with_fused(n, "SUB", "Sub", RELU_N1), "Conv Sub Clip"),
    "add rows computed": (
        lambda n: n.op("ADD", conv(n, image(n)), n.input(5, name="y"), given=options("Add")),
        "Conv Reshape Add",
    ),
    "add n": (lambda n: n.op("ADD_N", x := image(n), x, n.op("EXP", x)), "Exp Sum"),
    "greater select": (compared("GREATER", "Greater"), "Neg Greater Exp Where"),
    "less equal select": (compared("LESS_EQUAL", "LessEqual"), "Neg LessOrEqual Exp Where"),
    "not equal select": (compared("NOT_EQUAL", "NotEqual"), "Neg Equal Not Exp Where"),
    "greater equal select": (
        compared("GREATER_EQUAL", "GreaterEqual"),
        "Neg GreaterOrEqual Exp Where",
    ),
    "less select": (compared("LESS", "Less"), "Neg Less Exp Where"),
    "equal select": (compared("EQUAL", "Equal"), "Neg Equal Exp Where"),
    "logic": (logic, "Less Greater And Not Or Where"),
    "fill and zeros": (
        lambda n: n.op(
            "MAXIMUM",
            n.op("ADD", image(n), n.op("FILL", n.integers(7, 1, 1), n.constant(0.5, np.float32))),
            n.op("ZEROS_LIKE", n.weights(6, 1)),
        ),
        "Add Max",
    ),
    "floor div": (
        lambda n: n.op("FLOOR_DIV", image(n), n.constant(0.3, np.float32)),
        "Div Floor",
    ),
    "relu 0 to 1": (unary("RELU_0_TO_1"), "Conv Clip"),
    "sign": (unary("SIGN"), "Conv Sign"),
    "cos": (unary("COS"), "Conv Cos"),
    "round": (unary("ROUND"), "Conv Round"),
    "round ties": (
        lambda n: n.op(
            "ROUND", n.op("ADD", n.op("FLOOR", conv(n, image(n))), n.constant(0.5, np.float32))
        ),
        "Conv Floor Add Round",
    ),
    "relu": (unary("RELU"), "Conv Relu"),
    "relu6": (unary("RELU6"), "Conv Clip"),
    "relu n1": (unary("RELU_N1_TO_1"), "Conv Clip"),
    "leaky relu": (unary("LEAKY_RELU", "LeakyRelu", alpha=0.3), "Conv LeakyRelu"),
    "prelu": (lambda n: n.op("PRELU", conv(n, image(n)), n.weights(1, 1, 5)), "Conv PRelu"),
    "prelu full": (lambda n: n.op("PRELU", conv(n, image(n)), n.weights(7, 6, 5)), "Conv PRelu"),
    "elu": (unary("ELU"), "Conv Elu"),
    "logistic": (unary("LOGISTIC"), "Conv Sigmoid"),
    "tanh": (unary("TANH"), "Conv Tanh"),
    "hard swish": (unary("HARD_SWISH"), "Conv HardSwish"),
    "gelu": (unary("GELU", "Gelu"), "Conv Div Erf Add Mul Mul"),
    "gelu approximate": (
        unary("GELU", "Gelu", approximate=True),
        "Conv Mul Mul Mul Add Mul Tanh Add Mul Mul",
    ),
    "exp": (unary("EXP"), "Conv Exp"),
    "abs": (unary("ABS"), "Conv Abs"),
    "neg": (unary("NEG"), "Conv Neg"),
    "square": (unary("SQUARE"), "Conv Mul"),
    "sin": (unary("SIN"), "Conv Sin"),
    "floor": (unary("FLOOR"), "Conv Floor"),
    "ceil": (unary("CEIL"), "Conv Ceil"),
    "log": (of_positive("LOG"), "Conv Abs Add Log"),
    "sqrt": (of_positive("SQRT"), "Conv Abs Add Sqrt"),
    "rsqrt": (of_positive("RSQRT"), "Conv Abs Add Sqrt Reciprocal"),
    "softmax": (unary("SOFTMAX", "Softmax", beta=1.0), "Conv Softmax"),
    "softmax beta": (unary("SOFTMAX", "Softmax", beta=0.5), "Conv Mul Softmax"),
    "log softmax": (unary("LOG_SOFTMAX"), "Conv LogSoftmax"),
    "l2 normalization": (unary("L2_NORMALIZATION", "L2Norm"), "Conv ReduceL2 Max Div"),
    "local response": (
        unary(
            "LOCAL_RESPONSE_NORMALIZATION",
            "LocalResponseNormalization",
            radius=1,
            bias=1.5,
            alpha=0.7,
            beta=0.6,
        ),
        "Conv LRN",
    ),
    "mean of an image": (lambda n: reduce(n, "MEAN", 1, 2), "Conv GlobalAveragePool Reshape"),
    "mean keeps": (lambda n: reduce(n, "MEAN", 2, 1, keep=True), "Conv GlobalAveragePool"),
    "mean of channels": (lambda n: reduce(n, "MEAN", -1), "Conv ReduceMean"),
    "mean of height": (lambda n: reduce(n, "MEAN", 1), "Conv ReduceMean Transpose"),
    "sum": (lambda n: reduce(n, "SUM", 1, 3), "Conv ReduceSum"),
    "reduce max": (lambda n: reduce(n, "REDUCE_MAX", 3, keep=True), "Conv ReduceMax"),
    "reduce max of an image": (
        lambda n: reduce(n, "REDUCE_MAX", 1, 2, keep=True),
        "Conv GlobalMaxPool",
    ),
    "reduce min": (lambda n: reduce(n, "REDUCE_MIN", 2), "Conv ReduceMin Transpose"),
    "reduce prod": (lambda n: reduce(n, "REDUCE_PROD", 3), "Conv ReduceProd"),
    "arg max": (
        lambda n: n.op(
            "ARG_MAX",
            conv(n, image(n)),
            n.integers(3),
            given=options("ArgMax", outputType=4),
            dtype=np.int64,
        ),
        "Conv ArgMax",
    ),
    "arg min of height": (
        lambda n: n.op(
            "ARG_MIN",
            conv(n, image(n)),
            n.integers(1),
            given=options("ArgMin", outputType=schema.TensorType.INT32),
            dtype=np.int32,
        ),
        "Conv ArgMin Cast Transpose",
    ),
    "reshape merges height and width": (
        lambda n: n.op(
            "RESHAPE", conv(n, image(n)), n.integers(1, 42, 5), given=options("Reshape")
        ),
        "Conv Reshape Transpose",
    ),
    "reshape of tokens to an image": (
        lambda n: conv(
            n, n.op("RESHAPE", n.input(1, 42, 4), n.integers(1, 7, 6, 4), given=options("Reshape"))
        ),
        "Reshape Transpose Conv",
    ),
    "reshape as a detector's head": (
        lambda n: n.op(
            "RESHAPE", conv(n, image(n), 6), n.integers(1, 84, 3), given=options("Reshape")
        ),
        "Conv Transpose Reshape",
    ),
    "squeeze": (
        lambda n: n.op("SQUEEZE", image(n, 1, 6), given=options("Squeeze", squeezeDims=[1])),
        "Reshape Transpose",
    ),
    "expand dims": (
        lambda n: conv(n, n.op("EXPAND_DIMS", n.input(1, 6, 4), n.integers(1))),
        "Reshape Transpose Conv",
    ),
    "transpose to channels first": (
        lambda n: n.op("TRANSPOSE", conv(n, image(n)), n.integers(0, 3, 1, 2)),
        "Conv",
    ),
    "transpose there and back": (
        lambda n: conv(
            n,
            n.op(
                "TRANSPOSE",
                n.op("RELU", n.op("TRANSPOSE", conv(n, image(n)), n.integers(0, 2, 1, 3))),
                n.integers(0, 2, 1, 3),
            ),
            inputs=5,
        ),
        "Conv Relu Conv",
    ),
    "concatenate channels": (
        lambda n: n.op(
            "CONCATENATION",
            x := conv(n, image(n)),
            n.op("RELU", x),
            given=options("Concatenation", axis=3),
        ),
        "Conv Relu Concat",
    ),
    "concatenate height": (
        lambda n: n.op(
            "CONCATENATION",
            x := conv(n, image(n)),
            n.op("RELU", x),
            n.weights(1, 2, 6, 5),
            given=options("Concatenation", axis=-3),
        ),
        "Conv Relu Concat",
    ),
    "split": (
        lambda n: n.op_many(
            "SPLIT",
            n.integers(3),
            conv(n, image(n), 6),
            given=options("Split", numSplits=3),
            count=3,
        ),
        "Conv Split",
    ),
    "split v": (
        lambda n: n.op_many(
            "SPLIT_V",
            conv(n, image(n)),
            n.integers(1, -1),
            n.integers(3),
            given=options("SplitV", numSplits=2),
            count=2,
        ),
        "Conv Split",
    ),
    "pack": (
        lambda n: n.op(
            "PACK",
            x := n.input(2, 3),
            n.op("NEG", x),
            given=options("Pack", valuesCount=2, axis=1),
        ),
        "Neg Reshape Reshape Concat",
    ),
    "unpack": (
        lambda n: n.op_many(
            "UNPACK", n.input(2, 3), given=options("Unpack", num=3, axis=1), count=3
        ),
        "Split Reshape Reshape Reshape",
    ),
    "slice": (
        lambda n: n.op("SLICE", conv(n, image(n)), n.integers(0, 1, 2, 1), n.integers(1, 4, -1, 3)),
        "Conv Slice",
    ),
    "strided slice": (
        lambda n: strided(
            n, conv(n, image(n)), [(0, 1, 1), (1, 6, 2), (0, 0, 1), (1, 3, 1)], endMask=4
        ),
        "Conv Slice",
    ),
    "strided slice shrinks": (
        lambda n: strided(
            n, conv(n, image(n)), [(0, 1, 1), (0, 7, 1), (-1, 0, 1), (0, 5, 1)], shrinkAxisMask=4
        ),
        "Conv Slice Reshape Transpose",
    ),
    "strided slice backwards": (
        lambda n: strided(n, image(n), [(0, 1, 1), (-1, -8, -1), (0, 6, 1), (3, 0, -2)], endMask=0),
        "Slice",
    ),
    "strided slice ellipsis and new axis": (
        lambda n: strided(
            n, n.input(2, 3, 4), [(0, 0, 1), (0, 0, 1), (1, 3, 1)], ellipsisMask=1, newAxisMask=2
        ),
        "Slice Reshape",
    ),
    "gather channels": (
        lambda n: n.op(
            "GATHER", conv(n, image(n)), n.integers(4, 0, 0), given=options("Gather", axis=3)
        ),
        "Conv Gather",
    ),
    "gather rows": (
        lambda n: n.op(
            "GATHER",
            n.weights(9, 4),
            n.input(1, 5, name="ids", dtype=np.int32),
            given=options("Gather"),
        ),
        "Gather",
    ),
    "gather one": (
        lambda n: n.op(
            "GATHER", conv(n, image(n)), n.constant(2, np.int32), given=options("Gather", axis=1)
        ),
        "Conv Gather Transpose",
    ),
    "reverse": (lambda n: n.op("REVERSE_V2", conv(n, image(n)), n.integers(2)), "Conv Slice"),
    "pad": (
        lambda n: n.op(
            "PAD", conv(n, image(n)), n.constant([[0, 0], [1, 2], [0, 3], [1, 0]], np.int32)
        ),
        "Conv Pad",
    ),
    "pad with a value": (
        lambda n: n.op(
            "PADV2",
            image(n),
            n.constant([[0, 0], [1, 2], [0, 3], [0, 0]], np.int32),
            n.constant(-1.5, np.float32),
        ),
        "Pad",
    ),
    "mirror pad reflect": (
        lambda n: n.op(
            "MIRROR_PAD",
            image(n),
            n.constant([[0, 0], [1, 2], [3, 0], [0, 0]], np.int32),
            given=options("MirrorPad", mode=0),
        ),
        "Pad",
    ),
    "mirror pad symmetric": (
        lambda n: n.op(
            "MIRROR_PAD",
            image(n),
            n.constant([[0, 0], [1, 2], [3, 0], [0, 0]], np.int32),
            given=options("MirrorPad", mode=1),
        ),
        "Gather Gather",
    ),
    "tile": (lambda n: n.op("TILE", conv(n, image(n)), n.integers(1, 2, 1, 3)), "Conv Tile"),
    "broadcast to": (
        lambda n: n.op_many("BROADCAST_TO", n.input(6, 1), n.integers(2, 6, 4), version=2),
        "Reshape Expand",
    ),
    "space to depth": (
        lambda n: n.op(
            "SPACE_TO_DEPTH", image(n, 6, 8), given=options("SpaceToDepth", blockSize=2)
        ),
        "SpaceToDepth",
    ),
    "depth to space": (
        lambda n: n.op(
            "DEPTH_TO_SPACE", image(n, channels=8), given=options("DepthToSpace", blockSize=2)
        ),
        "DepthToSpace",
    ),
    "cast": (
        lambda n: n.op(
            "CAST",
            n.op(
                "CAST",
                n.op("MUL", image(n), n.constant(9, np.float32), given=options("Mul")),
                dtype=np.int32,
            ),
        ),
        "Mul Cast Cast",
    ),
    "float16 weights": (
        lambda n: n.op(
            "CONV_2D",
            image(n),
            n.op("DEQUANTIZE", n.constant(n.random.normal(size=(5, 3, 3, 4)), np.float16)),
            n.op("DEQUANTIZE", n.constant(n.random.normal(size=5), np.float16)),
            given=options("Conv2D", strideW=1, strideH=1),
        ),
        "Conv",
    ),
    **{
        f"{kind.lower()} to {height}x{width} {''.join(fields)}": (
            resized(kind, height, width, **fields),
            "Resize",
        )
        for kind in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
        for height, width in ((14, 12), (5, 9), (4, 3), (17, 25))
        for fields in ({}, {"alignCorners": True}, {"halfPixelCenters": True})
    },
}


def file(tmp_path: Path, make: Make) -> Path:
    n = Network()
    made = make(n)
    path = tmp_path / "net.tflite"
    path.write_bytes(n.pack(*(made if isinstance(made, list) else [made])))
    return path


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def shapes(values: Iterable[onnx.ValueInfoProto]) -> dict[str, list[int]]:
    return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}


@pytest.mark.parametrize("name", NETWORKS)
def test_operator(name: str, tmp_path: Path) -> None:
    make, expected = NETWORKS[name]
    result = export(file(tmp_path, make), {})
    assert kinds(result.model) == expected.split()
    # Sums of at most 210 products in another order, and either side's fast sin and exp.
    assert max(result.maximum_difference.values()) < 5e-6


def test_every_converter_is_tested(tmp_path: Path) -> None:
    made = set()
    for make, _ in NETWORKS.values():
        n = Network()
        make(n)
        made |= {CODES[code.builtinCode] for code in n.model.operatorCodes}
    assert set(ops.CONVERTERS) - made == set()


REALWORLD = {
    "mlperf_tiny/vww_96_float.tflite": (
        {"Conv": 27, "Relu": 27, "GlobalAveragePool": 1, "Reshape": 1, "Gemm": 1, "Softmax": 1},
        {"input_1": [1, 3, 96, 96]},
        {"Identity": [1, 2]},
    ),
    "mlperf_tiny/pretrainedResnet.tflite": (
        {
            "Conv": 9,
            "Relu": 7,
            "Add": 3,
            "GlobalAveragePool": 1,
            "Reshape": 1,
            "Gemm": 1,
            "Softmax": 1,
        },
        {"input_1": [1, 3, 32, 32]},
        {"Identity": [1, 10]},
    ),
}


@pytest.mark.parametrize("name", REALWORLD)
def test_published_network(name: str, realworld: Path) -> None:
    counts, inputs, outputs = REALWORLD[name]
    result = export(realworld / name, {"input_1": None})
    assert Counter(kinds(result.model)) == counts  # no Transpose
    assert shapes(result.model.graph.input) == inputs
    assert shapes(result.model.graph.output) == outputs
    assert max(result.maximum_difference.values()) < 1e-6
    assert (result.model.opset_import[0].version, result.model.ir_version) == (15, 8)


def test_same_file_same_bytes(tmp_path: Path) -> None:
    path = file(tmp_path, NETWORKS["attention"][0])
    first, second = (export(path, {}).model.SerializeToString() for _ in range(2))
    assert first == second


def three_convs(n: Network) -> list[int]:
    x = n.input(1, 7, 6, 4, name="serving_default_x:0", signature=(-1, 7, 6, 4))
    first = conv(n, x)
    n.graph.tensors[first].name = b"block 1/Relu;block 1/BatchNorm;block 1/Conv"
    second, third = conv(n, first, inputs=5), conv(n, first, inputs=5)
    n.graph.tensors[second].name = n.graph.tensors[third].name = b"head"
    n.sign({"image": x}, {"first": second, "second": third})
    return [third, second]


# the recipe's inputs -> the ONNX model's
INPUTS: dict[str, tuple[dict[str, list[int] | None], dict[str, list[int]]]] = {
    "nothing": ({}, {"serving_default_x:0": [1, 4, 7, 6]}),
    "channels first": (
        {"serving_default_x:0": [1, 4, 7, 6]},
        {"serving_default_x:0": [1, 4, 7, 6]},
    ),
    "channels last": (
        {"serving_default_x:0": [1, 7, 6, 4]},
        {"serving_default_x:0": [1, 7, 6, 4]},
    ),
    "batch": ({"serving_default_x:0": [3, 4, 7, 6]}, {"serving_default_x:0": [3, 4, 7, 6]}),
    "the signature's name": ({"image": None}, {"image": [1, 4, 7, 6]}),
}


@pytest.mark.parametrize("name", INPUTS)
def test_inputs(name: str, tmp_path: Path) -> None:
    wanted, expected = INPUTS[name]
    result = export(file(tmp_path, three_convs), wanted)
    assert shapes(result.model.graph.input) == expected
    batch = next(iter(expected.values()))[0]
    last = name == "channels last"
    shape = [batch, 7, 6, 5] if last else [batch, 5, 7, 6]
    assert shapes(result.model.graph.output) == {"head": shape, "head_1": shape}
    assert kinds(result.model).count("Transpose") == (3 if last else 0)


def test_names(tmp_path: Path) -> None:
    """Outputs come in the signature's order, and the second one's name is made unique."""
    model = export(file(tmp_path, three_convs), {}).model
    assert [node.output[0] for node in model.graph.node] == ["block_1/Relu", "head", "head_1"]
    assert model.graph.node[0].doc_string == (
        "TFLite operator 0 CONV_2D: block 1/Relu;block 1/BatchNorm;block 1/Conv"
    )


@pytest.mark.parametrize("wanted", [["block_1/Relu"], ["first"], ["second", "block_1/Relu"]])
def test_chosen_outputs(wanted: list[str], tmp_path: Path) -> None:
    model = export(file(tmp_path, three_convs), {}, wanted).model
    assert [output.name for output in model.graph.output] == wanted
    assert len(model.graph.node) == len({*wanted, "block_1/Relu"})


def test_input_that_is_transposed_first_is_left_alone(tmp_path: Path) -> None:
    def make(n: Network) -> int:
        return conv(n, n.op("TRANSPOSE", n.input(1, 4, 7, 6), n.integers(0, 2, 3, 1)))

    model = export(file(tmp_path, make), {}).model
    assert kinds(model) == ["Conv"]
    assert shapes(model.graph.input) == {"x": [1, 4, 7, 6]}


def test_input_and_constant_as_outputs(tmp_path: Path) -> None:
    def make(n: Network) -> list[int]:
        x = image(n)
        y = n.op("RESHAPE", x, n.integers(1, 7, 6, 4), given=options("Reshape"), name="y")
        return [y, n.op("RELU", x, name="z"), y]

    model = export(file(tmp_path, make), {}).model
    assert [output.name for output in model.graph.output] == ["y", "z", "y_1"]
    assert kinds(model) == ["Relu", "Identity", "Identity"]


def quantized(n: Network) -> int:
    x = n.input(1, 7, 6, 4, dtype=np.int8)
    n.quantize(x, 0.1)
    y = n.op("RELU", x, dtype=np.int8)
    n.quantize(y, 0.1)
    return y


def dynamic_range(n: Network) -> int:
    """Weights of 8 bits: read by a layer, one scale; and through a DEQUANTIZE, a scale a row."""
    first = n.constant(n.random.integers(-9, 9, (5, 8)), np.int8, name="w")
    n.quantize(first, 0.1)
    x = n.op("FULLY_CONNECTED", n.input(1, 8), first, n.weights(5), given=options("FullyConnected"))
    second = n.constant(n.random.integers(-9, 9, (3, 5)), np.int8, name="v")
    n.quantize(second, 0.1)
    told = n.graph.tensors[second].quantization
    told.scale, told.zeroPoint, told.quantizedDimension = [0.1, 0.2, 0.5], [0, 1, -2], 0
    wide = n.op("DEQUANTIZE", second, name="wide")
    return n.op("FULLY_CONNECTED", x, wide, n.weights(3), given=options("FullyConnected"))


def test_weights_of_dynamic_range_are_widened(tmp_path: Path) -> None:
    network = Network()
    y = dynamic_range(network)
    (tmp_path / "net.tflite").write_bytes(network.pack(y))
    exported = export(tmp_path / "net.tflite", {})
    held = [np.asarray(numpy_helper.to_array(one)) for one in exported.model.graph.initializer]
    buffers = [network.graph.tensors[i].buffer for i in (0, 4)]
    first, second = (np.asarray(network.model.buffers[i].data).view(np.int8) for i in buffers)
    scales = np.array([[0.1], [0.2], [0.5]], np.float32)
    zeros = np.array([[0], [1], [-2]])
    for expected in (
        first.reshape(5, 8).astype(np.float32) * np.float32(0.1),
        (second.reshape(3, 5) - zeros).astype(np.float32) * scales,
    ):
        like = (one for one in held if one.shape in (expected.shape, expected.T.shape))
        assert any(np.array_equal(one, expected) or np.array_equal(one, expected.T) for one in like)
    assert exported.changes[-1].startswith("2 weights of 8 bits (dynamic range) are float32;")


def with_cumsum(n: Network) -> list[int]:
    x = n.op("RELU", n.input(1, 8), name="y")
    return [
        n.op("CUMSUM", x, n.integers(1), given=options("Cumsum"), name="z"),
        n.op("RANK", x, dtype=np.int32, name="r"),
    ]


def fused_tanh(n: Network) -> int:
    return conv(n, image(n), fusedActivationFunction=TANH)


# name -> (network, recipe's inputs, recipe's outputs, what the error says, what its advice says)
REFUSED: dict[str, tuple[Make, dict[str, list[int] | None], list[str], str, str]] = {
    "quantized": (
        quantized,
        {},
        [],
        "net.tflite: the network is already quantized: tensor 0 `x` is INT8 with a scale",
        "`rknn: {load: direct}` and `quantize: {dtype: prequantized}`",
    ),
    "unknown operators": (
        with_cumsum,
        {},
        [],
        "net.tflite: no conversion to ONNX for TFLite operator 1 CUMSUM from `y` float32[] "
        "(tensor 1), `constant` int32[1] (tensor 2) to `z` float32[] (tensor 3); TFLite operator 2 "
        "RANK",
        "`rknn: {load: direct}`",
    ),
    "fused tanh": (
        fused_tanh,
        {},
        [],
        "TFLite operator 0 CONV_2D from `x` float32[1, 7, 6, 4] (tensor 0), `weights`",
        "as an operator of its own",
    ),
    "phases cropped more than padded": (
        lambda n: phases(n, 3),
        {},
        [],
        "net.tflite: no conversion to ONNX for TFLite operator 0 SPACE_TO_BATCH_ND",
        "`rknn: {load: direct}`",
    ),
    "unknown input": (
        three_convs,
        {"imago": None},
        [],
        "the TFLite file has no input `imago`",
        "did you mean `image`? the file's inputs are `serving_default_x:0`",
    ),
    "unknown output": (
        three_convs,
        {},
        ["heat"],
        "the TFLite file computes no tensor `heat`",
        "did you mean `head`?",
    ),
    "another size": (
        three_convs,
        {"image": [1, 4, 8, 6]},
        [],
        "the recipe's shape [1, 4, 8, 6] does not fit the TFLite input `image`",
        "the file has ['any', 4, 7, 6] or ['any', 7, 6, 4] (channels first or last)",
    ),
    "another rank": (
        three_convs,
        {"image": [4, 7, 6]},
        [],
        "the recipe's shape [4, 7, 6] does not fit",
        "the file has",
    ),
    "open size": (
        lambda n: conv(n, n.input(1, 1, 1, 4, signature=(1, -1, -1, 4))),
        {},
        [],
        "the input `x` has no fixed shape in the TFLite file: [1, -1, -1, 4]",
        "inputs: {x: {shape: [...]}}",
    ),
    "a batch that a reshape forbids": (
        lambda n: n.op(
            "RESHAPE", n.input(1, 7, 6, 4), n.integers(1, 168), given=options("Reshape")
        ),
        {"x": [2, 4, 7, 6]},
        [],
        "net.tflite: LiteRT can't prepare the network for inputs [2, 7, 6, 4]",
        "the shapes that the file was made for",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    make, inputs, outputs, what, advice = REFUSED[name]
    with pytest.raises(Fault) as caught:
        export(file(tmp_path, make), inputs, outputs)
    assert what in caught.value.what
    assert advice in caught.value.advice


def test_open_size_from_the_recipe(tmp_path: Path) -> None:
    make = REFUSED["open size"][0]
    model = export(file(tmp_path, make), {"x": [1, 4, 9, 8]}).model
    assert shapes(model.graph.output) == {"conv_2d_0": [1, 5, 9, 8]}


WHOLE = Network()
WHOLE_BYTES = WHOLE.pack(conv(WHOLE, image(WHOLE)))
DAMAGED = {
    "empty": (b"", "net.tflite: the file is empty"),
    "not TFLite": (b"version https://git-lfs", "net.tflite: this is not a TFLite file"),
    "an ONNX file": (b"\x08\x08\x12\x07npumake:", "net.tflite: this is not a TFLite file"),
    "cut short": (WHOLE_BYTES[:-100], "net.tflite: the TFLite file is damaged or cut short"),
    "only the start": (WHOLE_BYTES[:100], "net.tflite: the TFLite file is damaged or cut short"),
    "overwritten": (
        WHOLE_BYTES[:8] + b"\xff" * 300 + WHOLE_BYTES[308:],
        "net.tflite: the TFLite file is damaged or cut short",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_file(name: str, tmp_path: Path) -> None:
    data, what = DAMAGED[name]
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    with pytest.raises(Fault) as caught:
        export(path, {})
    assert caught.value.what.startswith(what)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"gone\.tflite: No such file or directory"):
        export(tmp_path / "gone.tflite", {})


def test_a_wrong_converter_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ops.CONVERTERS, "LOGISTIC", ops.CONVERTERS["TANH"])
    with pytest.raises(Fault, match="output `relu_2` differs") as caught:
        export(
            file(tmp_path, lambda n: n.op("RELU", n.op("LOGISTIC", conv(n, image(n))))),
            {},
        )
    assert "first in TFLite operator 1 LOGISTIC" in caught.value.what


def test_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = file(tmp_path, three_convs)
    (tmp_path / "out").mkdir()
    params = ExportParams(
        source=Source("tflite", "nets/x.tflite"),
        inputs={"image": Declared((1, 4, 7, 6), "float32")},
        outputs=("first",),
    )
    export_tflite.run(Job(params, {"source": source}, Path("out"), Path()))
    model = onnx.load("out/model.onnx")
    assert [value.name for value in model.graph.output] == ["first"]
    notes = json.loads(Path("export_notes.json").read_text())
    assert notes["changes"] == [
        "input `serving_default_x:0` is called `image`",
        "input `image` is channels first: [1, 4, 7, 6] for [1, 7, 6, 4]",
        "output `head` is called `first`",
        "output `first` is channels first: [1, 5, 7, 6] for [1, 7, 6, 5]",
    ]
    assert notes["maximum_difference"]["first"] in (0, 1e-5)


def with_metadata(told: bytes, labels: str) -> bytes:
    """A network of one picture and ten classes, as tflite-support's writer leaves it."""
    n = Network()
    pooled = pool(n, image(n, 8, 8, 3), "AVERAGE_POOL_2D", 8, 1, VALID)
    made = dense(n, pooled, 3, 10)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(told, np.uint8)
    entry.name, entry.buffer = b"TFLITE_METADATA", len(n.model.buffers)
    n.model.buffers.append(buffer)
    n.model.metadata = [entry]
    file = io.BytesIO(n.pack(made))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("digits.txt", labels)
    return file.getvalue()


# Written by tflite-support 0.4.4: mean 128, std 64, rgb, labels in digits.txt.
METADATA = (DATA / "tflite_metadata.bin").read_bytes()
SCALED = {"mean": 128.0, "std": 64.0, "color": "rgb", "reason": "by the file's own metadata"}
LABELLED = (
    "Output `fully_connected_1`: {} labels in digits.txt, which is inside the file (unzip reads "
    "it): {}"
)


@pytest.mark.parametrize(
    ("told", "labels", "pixels", "notes"),
    [
        (METADATA, "0\n1\n2\n", SCALED, [LABELLED.format(3, "0, 1, 2")]),
        (METADATA, "a\nb\nc\nd\ne\n", SCALED, [LABELLED.format(5, "a, b, c, d, ...")]),
        (METADATA, "\x1b[1m\n", SCALED, [LABELLED.format(1, "?[1m")]),
        (METADATA, "", SCALED, []),
        (METADATA.replace(b"digits.txt", b"others.txt"), "0\n", SCALED, []),
        (METADATA.replace(b"M001", b"M009"), "0\n", {}, []),
        (METADATA[:300], "0\n", {}, []),
        (METADATA.replace(np.float32(64).tobytes(), bytes(4)), "0\n", {}, [LABELLED.format(1, 0)]),
    ],
    ids=["few", "many", "control", "none", "missing", "another", "cut", "std 0"],
)
def test_a_files_own_metadata(
    tmp_path: Path, told: bytes, labels: str, pixels: object, notes: list[str]
) -> None:
    file = tmp_path / "net.tflite"
    file.write_bytes(with_metadata(told, labels))
    work = Work.lay_out(tmp_path / "work", {"source": file, f"model/{file.name}": file})
    assert run_here(work, at_tflite.__name__, {"source": source("tflite", file.name)}) == Told()
    look = work.json("look.json")
    assert (look["pixels"], look["notes"]) == (pixels, notes)


def test_damaged_metadata_says_nothing(tmp_path: Path) -> None:
    """Whatever its bytes, the network is looked at."""
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(METADATA)
        for place in random.integers(8, len(damaged), 4):
            damaged[place] = random.integers(256)
        model = schema.ModelT()
        entry, buffer = schema.MetadataT(), schema.BufferT()
        entry.name, entry.buffer, buffer.data = b"TFLITE_METADATA", 0, list(damaged)
        model.metadata, model.buffers = [entry], [buffer]
        read_metadata(model)
