"""Elementwise operators of one operand."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

from quant.tflite.building.builder import Builder
from quant.tflite.building.fused import clip
from quant.tflite.building.regroup import reshaped


def unary(make: Callable[[Builder, str], str]) -> Callable[[Builder], None]:
    """A converter that keeps the operand's order."""

    def convert(b: Builder) -> None:
        x = b.value(0)
        b.define(make(b, b.stored(x)), x.order)

    return convert


def same(kind: str, **attributes: Any) -> Callable[[Builder], None]:
    """A converter to one ONNX operator of the same meaning."""
    return unary(lambda b, x: b.emit(kind, [x], **attributes))


def clipped(low: float, high: float) -> Callable[[Builder], None]:
    return unary(lambda b, x: clip(b, x, low, high))


def leaky_relu(b: Builder, x: str) -> str:
    return b.emit("LeakyRelu", [x], alpha=b.op.options.alpha)


def square(b: Builder, x: str) -> str:
    return b.emit("Mul", [x, x])


def reciprocal_root(b: Builder, x: str) -> str:
    return b.emit("Reciprocal", [b.emit("Sqrt", [x])])


def gelu(b: Builder, x: str) -> str:
    """x * P(X <= x): by erf, or by tanh where the file says approximate."""
    if b.op.options is not None and b.op.options.approximate:
        return gelu_tanh(b, x)
    part = b.emit("Erf", [b.emit("Div", [x, b.scalar(sqrt(2))])])
    return b.emit("Mul", [b.emit("Mul", [x, b.emit("Add", [part, b.scalar(1)])]), b.scalar(0.5)])


def gelu_tanh(b: Builder, x: str) -> str:
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
    cube = b.emit("Mul", [b.emit("Mul", [x, x]), x])
    inner = b.emit("Add", [x, b.emit("Mul", [cube, b.scalar(0.044715)])])
    part = b.emit("Tanh", [b.emit("Mul", [inner, b.scalar(sqrt(2 / pi))])])
    return b.emit("Mul", [b.emit("Mul", [x, b.emit("Add", [part, b.scalar(1)])]), b.scalar(0.5)])


def prelu(b: Builder) -> None:
    """One slope a channel, or one an element; leading axes of length 1 are left out."""
    x, slope = b.value(0), b.value(1)
    full = (1,) * (x.rank - slope.rank) + slope.shape
    if slope.array is None:
        slopes = b.stored(reshaped(b, slope, full), x.order)
    else:
        array = slope.array.reshape(full).transpose(x.order)
        slopes = b.initializer(array[0] if array.shape[0] == 1 else array, slope.name)
    b.define(b.emit("PRelu", [b.stored(x), slopes]), x.order)


OPS = {
    "RELU": same("Relu"),
    "RELU6": clipped(0, 6),
    "RELU_N1_TO_1": clipped(-1, 1),
    "RELU_0_TO_1": clipped(0, 1),
    "LEAKY_RELU": unary(leaky_relu),
    "PRELU": prelu,
    "ELU": same("Elu"),
    "LOGISTIC": same("Sigmoid"),
    "TANH": same("Tanh"),
    "HARD_SWISH": same("HardSwish"),
    "GELU": unary(gelu),
    "EXP": same("Exp"),
    "LOG": same("Log"),
    "SQRT": same("Sqrt"),
    "RSQRT": unary(reciprocal_root),
    "SQUARE": unary(square),
    "ABS": same("Abs"),
    "NEG": same("Neg"),
    "SIGN": same("Sign"),
    "SIN": same("Sin"),
    "COS": same("Cos"),
    "FLOOR": same("Floor"),
    "CEIL": same("Ceil"),
    "ROUND": same("Round"),
    "LOGICAL_NOT": same("Not"),
}
