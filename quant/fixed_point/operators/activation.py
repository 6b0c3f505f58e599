"""Activations: clips, and tables of 256 entries for every curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fixed_point.lowering.bounds import Bounds
from quant.fixed_point.lowering.lowering import Accumulator, Lowering, peak_of
from quant.fixed_point.network.network import Integers, Lookup, Requantize

Float64 = NDArray[np.float64]
Curve = Callable[[Float64], Float64]

UNIT_SCALE = Fraction(128)  # of what lies between -1 and 1


def clip(lowering: Lowering, node: onnx.NodeProto) -> None:
    """A Relu or Clip that nothing before it took in."""
    x, x_scale = lowering.real(node)
    bounds = lowering.bounds(node)
    codes = Accumulator(x_scale, peak_of(x), x.low >= 0)
    scale, rescale = lowering.settled(node, node.output[0], codes, bounds or Bounds())
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
    _lookup(lowering, node, node.output[0], function)


def curve_of_codes(function: Curve, first: int, x_scale: Fraction) -> Float64:
    """function(code / x_scale) of 256 codes from `first` on."""
    with np.errstate(all="ignore"):
        return function(np.arange(first, first + 256) / float(x_scale))


def table(reals: Float64, scale: Fraction, limits: tuple[int, int]) -> Integers:
    """rint(real * scale) within limits, of every real."""
    largest = limits[1] / float(scale)
    reals = np.nan_to_num(reals, nan=0.0, posinf=largest, neginf=-largest)
    codes: Integers = np.clip(np.rint(reals * float(scale)), *limits).astype(np.int64)
    return codes


def _unit_or_gated(lowering: Lowering, node: onnx.NodeProto, function: Curve) -> None:
    name = str(node.output[0])
    reader = lowering.only_reader(name)
    if reader is not None and reader.op_type == "Mul" and node.input[0] in reader.input:
        lowering.done.add(id(reader))
        product = str(reader.output[0])
        _lookup(lowering, node, product, lambda x: x * function(x))
    else:
        _lookup(lowering, node, name, function, is_unit=True)


def _lookup(
    lowering: Lowering,
    node: onnx.NodeProto,
    name: str,
    function: Curve,
    *,
    is_unit: bool = False,
) -> None:
    """is_unit: the curve lies between -1 and 1."""
    x, x_scale = lowering.real(node)
    first = x.limits[0]
    reals = curve_of_codes(function, first, x_scale)
    seen = slice(x.low - first, x.high - first + 1)
    limits = lowering.limits(name, bool((np.nan_to_num(reals[seen]) >= 0).all()))
    if not is_unit:
        scale = lowering.free_scale(name, limits)
    else:
        scale = Fraction(limits[1]) if lowering.options.is_unsigned else UNIT_SCALE
    codes = table(reals, scale, limits)
    bounds = (int(codes[seen].min()), int(codes[seen].max()))
    lowering.add(Lookup(name, x.name, codes, first), scale, bounds=bounds)


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
