"""A rescale as TFLite operators: a shift is a division by 2^n and a FLOOR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from quant.fixed_point.network import guard
from quant.fixed_point.network.network import Integers, Rescale, integer_name
from quant.fixed_point.tflite.emission import Emission, Value


def rescaled(e: Emission, acc: Value, rescale: Rescale, output: str, dropped: int = 0) -> Value:
    """clip(((acc * multiplier + bias) >> (shift - dropped)) + bias_after, low, high)."""
    name = integer_name(output)
    if rescale.multiplier is not None:
        acc = e.constant("MUL", acc, rescale.multiplier, f"{name}/multiplied")
    if rescale.bias is not None:
        acc = e.constant("ADD", acc, rescale.bias, f"{name}/biased")
    acc = shifted(e, acc, rescale.shift - dropped, name)
    if rescale.bias_after is not None:
        acc = e.constant("ADD", acc, rescale.bias_after, f"{name}/biased_after")
    return e.clipped(acc, rescale.low, rescale.high, name)


def shifted(e: Emission, x: Value, shift: Integers, name: str) -> Value:
    if not shift.any():
        return x
    divided = e.constant("DIV", x, np.left_shift(1, shift), f"{name}/divided")
    return e.unary("FLOOR", divided, f"{name}/shifted")


def weighted(
    e: Emission, op: Any, multiply: Callable[[Integers, Integers | None, str], Value], channels: int
) -> Value:
    """A layer with weights. multiply: (weight, bias [channels] or None, name) -> accumulator."""
    name, rescale = integer_name(op.output), op.rescale
    if guard.needs_split(e.network, op):
        return _split(e, op, multiply)
    bias = rescale.bias
    if bias is not None and rescale.multiplier is None and bias.size == channels:
        # Whole numbers add up in any order, so the bias may go into the kernel.
        acc = multiply(op.weight, bias.reshape(-1), f"{name}/acc")
        return rescaled(e, acc, replace(rescale, bias=None), op.output)
    return rescaled(e, multiply(op.weight, None, f"{name}/acc"), rescale, op.output)


def _split(
    e: Emission, op: Any, multiply: Callable[[Integers, Integers | None, str], Value]
) -> Value:
    """(A + ((B + bias) >> 4)) >> (n - 4), where weight = 16 A + B: both sums stay below 2^24."""
    name = integer_name(op.output)
    high, low = guard.split(op.weight)
    acc = multiply(low, None, f"{name}/low")
    if op.rescale.bias is not None:
        acc = e.constant("ADD", acc, op.rescale.bias, f"{name}/low_biased")
    acc = shifted(e, acc, np.array(4), f"{name}/low")
    acc = e.binary("ADD", multiply(high, None, f"{name}/high"), acc, f"{name}/sum")
    return rescaled(e, acc, replace(op.rescale, bias=None), op.output, dropped=4)
