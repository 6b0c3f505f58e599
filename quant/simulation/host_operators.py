"""Operators of the SDK's own, which its simulator computes in numpy and scipy.

Bit for bit: other forms of the same function differ in a float32's last place, which decides ties.
Each takes the node's inputs and returns its output before rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from quant.graph.graph import attribute
from quant.simulation.parameters import Parameters
from quant.simulation.unknown import Unknown

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Call:
    """One node. held: parameters of every tensor; None where the float network runs."""

    node: onnx.NodeProto
    held: dict[str, Parameters] | None

    def attribute(self, name: str, default: object = None) -> Any:
        return attribute(self.node, name, default)

    def rounded(self, name: str, values: Array) -> Array:
        """values on the grid of a tensor inside the operator."""
        if self.held is None:
            return values
        if name not in self.held:
            raise Unknown(f"`{name}` inside `{self.node.output[0]}` has no parameters")
        return self.held[name].rounded(values)

    def second_operand(self, values: Array) -> Array:
        """The second input on a symmetric grid over the same range."""
        if self.held is None:
            return values
        name = self.node.input[1]
        if name not in self.held:
            raise Unknown(f"`{name}` has no parameters")
        return self.held[name].symmetric().rounded(values)


def swish(call: Call, inputs: Sequence[Array]) -> Array:
    from scipy.special import expit

    (x,) = inputs
    return np.asarray(x * expit(x))


def gelu(call: Call, inputs: Sequence[Array]) -> Array:
    from scipy.special import erf

    (x,) = inputs
    return np.asarray(np.float32(0.5) * x * (1 + erf(x / np.float32(np.sqrt(2)))))


def softmax(call: Call, inputs: Sequence[Array]) -> Array:
    (x,) = inputs
    return _softmax(x, call.attribute("axis", -1))


def _softmax(x: Array, axis: int) -> Array:
    power = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(power / power.sum(axis=axis, keepdims=True))


def norm(call: Call, inputs: Sequence[Array]) -> Array:
    """exNorm over `axes`: mean and variance, or the length of a vector; then scale and bias."""
    x, *affine = inputs
    y = _normed(call, x, tuple(call.attribute("axes")))
    if affine:
        y = y * affine[0]
    if len(affine) > 1:
        y = y + affine[1]
    return np.asarray(y)


def _normed(call: Call, x: Array, axes: tuple[int, ...]) -> Array:
    mode, epsilon = call.attribute("mode", "layer"), np.float32(call.attribute("eps"))
    if mode == "l2":
        return np.asarray(x / np.sqrt((x * x).sum(axis=axes, keepdims=True) + epsilon))
    if mode != "layer":
        raise Unknown(f"exNorm of mode {mode}")
    variance = x.var(axis=axes, keepdims=True)
    return np.asarray((x - x.mean(axis=axes, keepdims=True)) / np.sqrt(variance + epsilon))


def matmul(call: Call, inputs: Sequence[Array]) -> Array:
    """[B, K, 1, M] and [B, K, 1, N] -> [B, M, 1, N]"""
    if len(inputs) != 2:  # one more where the SDK fused what came after
        raise Unknown(f"exMatMul of {len(inputs)} inputs")
    one, other = inputs
    return _product(one, call.second_operand(other))


def attention(call: Call, inputs: Sequence[Array]) -> Array:
    """Query, key and value, each [B, D, 1, T] -> [B, D, 1, T]

    Scores are [B, key, query]: over another axis numpy would add them in another order.
    """
    query, key, value = (array[:, :, 0, :] for array in inputs)
    scores = call.rounded(call.attribute("q_matmul"), np.matmul(key.transpose(0, 2, 1), query))
    scores = scores * np.float32(call.attribute("scale", 1.0))
    shares = call.rounded(call.attribute("q_softmax"), _softmax(scores, 1))
    return np.asarray(np.matmul(value, shares))[:, :, None, :]


def _product(one: Array, other: Array) -> Array:
    if one.ndim != 4 or one.shape[2] != 1 or other.shape[2] != 1:
        raise Unknown(f"exMatMul of {list(one.shape)} and {list(other.shape)}")
    product = np.matmul(one[:, :, 0, :].transpose(0, 2, 1), other[:, :, 0, :])
    return np.asarray(product[:, :, None, :])


Operator = Callable[[Call, Sequence[Array]], Array]
OPERATORS: dict[str, Operator] = {
    "exGelu": gelu,
    "exMatMul": matmul,
    "exNorm": norm,
    "exSDPAttention": attention,
    "exSoftmax13": softmax,
    "exSwish": swish,
}
