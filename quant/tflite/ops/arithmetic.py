"""Elementwise operators of two or more operands, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable

from quant.tflite.building.broadcast import align
from quant.tflite.building.builder import Builder
from quant.tflite.building.fused import activate


def operands(b: Builder) -> range:
    return range(len(b.op.inputs))


def elementwise(kind: str, *, fused: bool = False) -> Callable[[Builder], None]:
    """A converter to one ONNX operator."""

    def convert(b: Builder) -> None:
        inputs, order = align(b, [b.value(i) for i in operands(b)])
        name = b.emit(kind, inputs)
        b.define(activate(b, name) if fused else name, order)

    return convert


def squared_difference(b: Builder) -> None:
    inputs, order = align(b, [b.value(0), b.value(1)])
    difference = b.emit("Sub", inputs)
    b.define(b.emit("Mul", [difference, difference]), order)


def floor_div(b: Builder) -> None:
    inputs, order = align(b, [b.value(0), b.value(1)])
    if b.dtype_out().kind != "f":
        raise b.fault("only floats are divided", "convert the network again without it")
    b.define(b.emit("Floor", [b.emit("Div", inputs)]), order)


def not_equal(b: Builder) -> None:
    inputs, order = align(b, [b.value(0), b.value(1)])
    b.define(b.emit("Not", [b.emit("Equal", inputs)]), order)


def select(b: Builder) -> None:
    """The first version takes a condition of one axis as one choice a row."""
    condition, chosen = b.value(0), b.value(1)
    if condition.shape != chosen.shape and condition.rank:
        raise b.fault(
            f"a condition {list(condition.shape)} chooses rows of {list(chosen.shape)}",
            "convert the network again with a newer TensorFlow (SELECT_V2)",
        )
    elementwise("Where")(b)


OPS = {
    "ADD": elementwise("Add", fused=True),
    "SUB": elementwise("Sub", fused=True),
    "MUL": elementwise("Mul", fused=True),
    "DIV": elementwise("Div", fused=True),
    "ADD_N": elementwise("Sum"),
    "MAXIMUM": elementwise("Max"),
    "MINIMUM": elementwise("Min"),
    "POW": elementwise("Pow"),
    "SQUARED_DIFFERENCE": squared_difference,
    "FLOOR_DIV": floor_div,
    "EQUAL": elementwise("Equal"),
    "NOT_EQUAL": not_equal,
    "LESS": elementwise("Less"),
    "LESS_EQUAL": elementwise("LessOrEqual"),
    "GREATER": elementwise("Greater"),
    "GREATER_EQUAL": elementwise("GreaterOrEqual"),
    "LOGICAL_AND": elementwise("And"),
    "LOGICAL_OR": elementwise("Or"),
    "SELECT": select,
    "SELECT_V2": elementwise("Where"),
}
