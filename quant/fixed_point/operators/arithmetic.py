"""Add, Sub, Mul and Div, of two tensors or of one and a constant."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fixed_point.lowering.bounds import Bounds
from quant.fixed_point.lowering.factors import common_factors
from quant.fixed_point.lowering.lowering import Accumulator, Lowering, peak_of
from quant.fixed_point.network.network import Product, Sum, Tensor
from quant.fixed_point.operators.affine import affine

# A left shift beyond this could take codes out of float32's whole numbers once they are added.
_MOST_LEFT = 14
_MOST_BITS = 8  # that one term of a sum, where any scale is allowed, has below the other's
_ONE, _NONE = np.array(1.0), np.array(0.0)


def add(lowering: Lowering, node: onnx.NodeProto) -> None:
    _add(lowering, node, 1)


def subtract(lowering: Lowering, node: onnx.NodeProto) -> None:
    _add(lowering, node, -1)


def _add(lowering: Lowering, node: onnx.NodeProto, sign: int) -> None:
    first, second = _constants(lowering, node)
    if second is not None:
        affine(lowering, node, _ONE, sign * second)
    elif first is not None:
        affine(lowering, node, sign * _ONE, first, position=1)
    else:
        _sum(lowering, node, sign)


def multiply(lowering: Lowering, node: onnx.NodeProto) -> None:
    first, second = _constants(lowering, node)
    if second is not None:
        affine(lowering, node, second, _NONE)
    elif first is not None:
        affine(lowering, node, first, _NONE, position=1)
    else:
        _product(lowering, node)


def divide(lowering: Lowering, node: onnx.NodeProto) -> None:
    """By a constant alone."""
    divisor = lowering.constant(node, 1)
    if divisor is None:
        raise lowering.fault(
            node, "divides by a computed tensor", "int8 has no division; cut the graph before it"
        )
    if not divisor.all():
        raise lowering.fault(node, "divides by zero", "correct the constant")
    affine(lowering, node, 1 / divisor.astype(np.float64), _NONE)


def _constants(
    lowering: Lowering, node: onnx.NodeProto
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    found = [lowering.constant(node, position) for position in (0, 1)]
    first, second = (None if c is None else c.astype(np.float64) for c in found)
    return first, second


def _sum(lowering: Lowering, node: onnx.NodeProto, sign: int) -> None:
    a, a_scale = lowering.real(node, 0)
    b, b_scale = lowering.real(node, 1)
    name, bounds = lowering.activation(node.output[0])
    if lowering.options.is_unsigned:
        _any_sum(lowering, name, bounds, (a, b), sign)
        return
    coarse = min(a_scale, b_scale)
    lowering.shift_between(node, max(a_scale, b_scale), coarse)
    fine = min(max(a_scale, b_scale), coarse * 2**_MOST_LEFT)
    a, b = (_no_finer(lowering, node, x, fine) for x in (a, b))
    scale = lowering.wanted(name, fine, bounds)
    factors = [2 ** lowering.shift_between(node, fine, _scale(x)) for x in (a, b)]
    rescale = lowering.rescale(lowering.shift_between(node, fine, scale), bounds, scale)
    lowering.add(Sum(name, a.name, b.name, factors[0], factors[1], rescale, sign), scale)


def _any_sum(
    lowering: Lowering, name: str, bounds: Bounds, terms: tuple[Tensor, Tensor], sign: int
) -> None:
    """Of scales whose ratio is no power of two: each term has a factor, one shift is common."""
    is_positive = bounds.is_positive or (sign > 0 and min(x.low for x in terms) >= 0)
    limits = lowering.limits(name, is_positive)
    scales = [_scale(x) for x in terms]
    finest = min(max(scales), min(scales) * 2**_MOST_BITS)
    scale = lowering.wanted(name, finest, bounds, limits)
    factors, shift = common_factors([scale / _scale(x) for x in terms], [peak_of(x) for x in terms])
    rescale = lowering.rescale(shift, bounds, scale, limits=limits)
    a, b = terms
    lowering.add(Sum(name, a.name, b.name, factors[0], factors[1], rescale, sign), scale)


def _no_finer(lowering: Lowering, node: onnx.NodeProto, x: Tensor, scale: Fraction) -> Tensor:
    return lowering.aligned(node, x, scale) if _scale(x) > scale else x


def _scale(x: Tensor) -> Fraction:
    assert x.scale is not None
    return x.scale


def _product(lowering: Lowering, node: onnx.NodeProto) -> None:
    a, a_scale = lowering.real(node, 0)
    b, b_scale = lowering.real(node, 1)
    name, bounds = lowering.activation(node.output[0])
    is_positive = min(a.low, b.low) >= 0
    products = Accumulator(a_scale * b_scale, peak_of(a) * peak_of(b), is_positive)
    scale, rescale = lowering.settled(node, name, products, bounds)
    lowering.add(Product(name, a.name, b.name, rescale), scale)
