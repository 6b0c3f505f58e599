"""Operators that normalise over the last axis."""

from __future__ import annotations

from quant.tflite.building.builder import Builder
from quant.tflite.building.layout import CHANNELS_FIRST
from quant.tflite.building.value import Value

SMALLEST_NORM = 1e-6  # TensorFlow Lite, kernels/internal/reference/l2normalization.h


def last_axis(value: Value) -> int:
    """Where TFLite's last axis is stored."""
    return value.order.index(value.rank - 1)


def softmax(b: Builder) -> None:
    x = b.value(0)
    name, beta = b.stored(x), b.op.options.beta
    if beta != 1:
        name = b.emit("Mul", [name, b.scalar(beta)])
    b.define(b.emit("Softmax", [name], axis=last_axis(x)), x.order)


def log_softmax(b: Builder) -> None:
    x = b.value(0)
    b.define(b.emit("LogSoftmax", [b.stored(x)], axis=last_axis(x)), x.order)


def l2_normalization(b: Builder) -> None:
    """x / max(sqrt(sum of squares), 1e-6)."""
    x = b.value(0)
    norm = b.emit("ReduceL2", [b.stored(x)], axes=[last_axis(x)], keepdims=1)
    floor = b.emit("Max", [norm, b.scalar(SMALLEST_NORM)])
    b.define(b.emit("Div", [b.stored(x), floor]), x.order)


def local_response_normalization(b: Builder) -> None:
    """TFLite sums alpha x^2 over 2 radius + 1 channels; ONNX averages."""
    options = b.op.options
    width = 2 * options.radius + 1
    name = b.emit(
        "LRN",
        [b.channels_first(b.value(0))],
        alpha=options.alpha * width,
        beta=options.beta,
        bias=options.bias,
        size=width,
    )
    b.define(name, CHANNELS_FIRST)


OPS = {
    "SOFTMAX": softmax,
    "LOG_SOFTMAX": log_softmax,
    "L2_NORMALIZATION": l2_normalization,
    "LOCAL_RESPONSE_NORMALIZATION": local_response_normalization,
}
