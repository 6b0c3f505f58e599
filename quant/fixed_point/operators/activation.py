"""Activations: clips, and tables of 256 entries for every curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fixed_point.lowering import Lowering
from quant.fixed_point.network import INT8_HIGH, INT8_LOW, Integers, Lookup, Requantize

Float64 = NDArray[np.float64]
Curve = Callable[[Float64], Float64]

UNIT_SCALE = Fraction(128)  # of what lies between -1 and 1


def clip(lowering: Lowering, node: onnx.NodeProto) -> None:
    """A Relu or Clip that nothing before it took in."""
    x, x_scale = lowering.real(node)
    bounds = lowering.bounds(node)
    scale = lowering.wanted(node.output[0], x_scale, bounds)
    shift = lowering.shift_between(node, x_scale, scale)
    rescale = lowering.rescale(shift, bounds, scale)
    lowering.add(Requantize(node.output[0], x.name, rescale), scale)


def sigmoid(lowering: Lowering, node: onnx.NodeProto) -> None:
    """Sigmoid; x * Sigmoid(x), which torch exports SiLU as, is one table."""
    _unit_or_gated(lowering, node, _sigmoid)


def unit_curve(lowering: Lowering, node: onnx.NodeProto) -> None:
    """A curve between -1 and 1, at scale 128; x * HardSigmoid(x) is one table."""
    _unit_or_gated(lowering, node, _curve_of(lowering, node, UNIT_CURVES))


def curve(lowering: Lowering, node: onnx.NodeProto) -> None:
    """A curve whose scale comes from its range."""
    function = _curve_of(lowering, node, CURVES)
    _lookup(lowering, node, node.output[0], function, lowering.free_scale(node.output[0]))


def table(function: Curve, x_scale: Fraction, scale: Fraction) -> Integers:
    """sat8(rint(function(code / x_scale) * scale)) of every code from -128 to 127."""
    with np.errstate(all="ignore"):
        reals = function(np.arange(INT8_LOW, INT8_HIGH + 1) / float(x_scale))
    largest = INT8_HIGH / float(scale)
    reals = np.nan_to_num(reals, nan=0.0, posinf=largest, neginf=-largest)
    codes: Integers = np.clip(np.rint(reals * float(scale)), INT8_LOW, INT8_HIGH).astype(np.int64)
    return codes


def _unit_or_gated(lowering: Lowering, node: onnx.NodeProto, function: Curve) -> None:
    name = str(node.output[0])
    reader = lowering.only_reader(name)
    if reader is not None and reader.op_type == "Mul" and node.input[0] in reader.input:
        lowering.done.add(id(reader))
        product = str(reader.output[0])
        scale = lowering.free_scale(product)
        _lookup(lowering, node, product, lambda x: x * function(x), scale)
    else:
        _lookup(lowering, node, name, function, UNIT_SCALE)


def _lookup(
    lowering: Lowering, node: onnx.NodeProto, name: str, function: Curve, scale: Fraction
) -> None:
    x, x_scale = lowering.real(node)
    codes = table(function, x_scale, scale)
    within = codes[x.low - INT8_LOW : x.high - INT8_LOW + 1]
    bounds = (int(within.min()), int(within.max()))
    lowering.add(Lookup(name, x.name, codes), scale, bounds=bounds)


def _curve_of(
    lowering: Lowering,
    node: onnx.NodeProto,
    curves: Mapping[str, tuple[Mapping[str, float], Callable[..., Float64]]],
) -> Curve:
    """A node's curve with its attributes."""
    defaults, function = curves[node.op_type]
    given = {name: float(lowering.attribute(node, name, d)) for name, d in defaults.items()}
    if node.op_type == "PRelu":
        slope = lowering.required(node, 1)
        if slope.size != 1:
            raise lowering.fault(
                node, "has a slope a channel", "one table serves all channels: use LeakyRelu"
            )
        given = {"alpha": float(slope.reshape(()))}
    return lambda x: function(x, **given)


def _sigmoid(x: Float64) -> Float64:
    return np.asarray(1 / (1 + np.exp(-x)))


def _hard_sigmoid(x: Float64, alpha: float, beta: float) -> Float64:
    return np.clip(alpha * x + beta, 0, 1)


def _leaky(x: Float64, alpha: float) -> Float64:
    return np.where(x < 0, alpha * x, x)


def _elu(x: Float64, alpha: float) -> Float64:
    return np.where(x < 0, alpha * np.expm1(x), x)


def _selu(x: Float64, alpha: float, gamma: float) -> Float64:
    return gamma * _elu(x, alpha)


def _erf(x: Float64) -> Float64:
    return np.array([math.erf(v) for v in x])


def _gelu(x: Float64) -> Float64:
    return x * (1 + _erf(x / math.sqrt(2))) / 2


_No: Mapping[str, float] = {}
_SELU = {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}

# operator -> its attributes' defaults, and the curve; sources: ONNX's operator documentation
UNIT_CURVES: Mapping[str, tuple[Mapping[str, float], Callable[..., Float64]]] = {
    "HardSigmoid": ({"alpha": 0.2, "beta": 0.5}, _hard_sigmoid),
    "Tanh": (_No, np.tanh),
    "Erf": (_No, _erf),
    "Softsign": (_No, lambda x: x / (1 + np.abs(x))),
}
CURVES: Mapping[str, tuple[Mapping[str, float], Callable[..., Float64]]] = {
    "Abs": (_No, np.abs),
    "Elu": ({"alpha": 1.0}, _elu),
    "Exp": (_No, np.exp),
    "Gelu": (_No, _gelu),
    "HardSwish": (_No, lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5)),
    "LeakyRelu": ({"alpha": 0.01}, _leaky),
    "Log": (_No, np.log),
    "Neg": (_No, np.negative),
    "PRelu": (_No, _leaky),
    "Reciprocal": (_No, np.reciprocal),
    "Selu": (_SELU, _selu),
    "Softplus": (_No, lambda x: np.logaddexp(0, x)),
    "Sqrt": (_No, np.sqrt),
}
