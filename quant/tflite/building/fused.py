"""Activations that TFLite fuses into the operator before them."""

from __future__ import annotations

from ai_edge_litert.schema_py_generated import ActivationFunctionType

from quant.tflite.building.builder import Builder

ACTIVATIONS = {code: kind for kind, code in vars(ActivationFunctionType).items()}


def clip(b: Builder, name: str, low: float, high: float) -> str:
    return b.emit("Clip", [name, b.scalar(low), b.scalar(high)])


def activate(b: Builder, name: str) -> str:
    """Apply the fused activation of the operator at hand; return the result's name."""
    options = b.op.options
    kind = options.fusedActivationFunction if options is not None else 0
    if kind == ActivationFunctionType.NONE:
        return name
    if kind == ActivationFunctionType.RELU:
        return b.emit("Relu", [name])
    if kind == ActivationFunctionType.RELU6:
        return clip(b, name, 0, 6)
    if kind == ActivationFunctionType.RELU_N1_TO_1:
        return clip(b, name, -1, 1)
    # LiteRT's float kernels pass over a fused TANH or SIGN_BIT without a word.
    raise b.fault(
        f"fused activation {ACTIVATIONS.get(kind, kind)} has no conversion",
        "convert the network again with the activation as an operator of its own",
    )
