"""Operations of the integer network -> ONNX nodes. A shift is a division by 2^n and a Floor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from quant.fixed_point.network import guard
from quant.fixed_point.network import network as net
from quant.fixed_point.network.network import (
    INT8_HIGH,
    UINT8_HIGH,
    Integers,
    Network,
    Rescale,
    integer_name,
)
from quant.fixed_point.onnx.builder import OnnxBuilder


@dataclass
class Emission:
    """names: tensor of the network -> tensor of the file that holds its codes, as float32."""

    builder: OnnxBuilder
    network: Network
    names: dict[str, str] = field(default_factory=dict)


def quantized(
    b: OnnxBuilder, name: str, scale: Fraction, output: str, limits: tuple[int, int]
) -> str:
    """floor((x * 2p + d) / 2d) of a scale p / d, clipped: every parameter is a whole number."""
    p, d = scale.numerator, scale.denominator
    x = b.node("Mul", [name, b.number(2 * p, "factor")], f"{output}/scaled")
    x = b.node("Add", [x, b.number(d, "half")], f"{output}/plus_half")
    x = b.node("Div", [x, b.number(2 * d, "divisor")], f"{output}/divided")
    x = b.node("Floor", [x], f"{output}/floor")
    return clipped(b, x, *limits, output)


def dequantized(emission: Emission, tensor: str, output: str) -> None:
    """One multiplication by 1 / scale, behind the last Clip: no converter can fold it."""
    b, scale = emission.builder, emission.network.tensors[tensor].scale
    assert scale is not None
    factor = b.stored(np.array(np.float32(1 / scale)), f"{output}/scale")
    # The output's name is taken for this node.
    b.nodes.append(
        onnx.helper.make_node("Mul", [emission.names[tensor], factor], [output], name=output)
    )


def clipped(b: OnnxBuilder, x: str, low: int, high: int, output: str) -> str:
    return b.node("Clip", [x, b.number(low, "low"), b.number(high, "high")], output)


def rescaled(e: Emission, acc: str, rescale: Rescale, output: str, dropped: int = 0) -> str:
    """clip(((acc * multiplier + bias) >> (shift - dropped)) + bias_after, low, high)."""
    b, name = e.builder, integer_name(output)
    if rescale.multiplier is not None:
        factor = b.whole(rescale.multiplier, f"{name}/multiplier")
        acc = b.node("Mul", [acc, factor], f"{name}/multiplied")
    if rescale.bias is not None:
        acc = b.node("Add", [acc, b.whole(rescale.bias, f"{name}/bias")], f"{name}/biased")
    acc = shifted(b, acc, rescale.shift - dropped, name)
    if rescale.bias_after is not None:
        after = b.whole(rescale.bias_after, f"{name}/bias_after")
        acc = b.node("Add", [acc, after], f"{name}/biased_after")
    return clipped(b, acc, rescale.low, rescale.high, name)


def shifted(b: OnnxBuilder, x: str, shift: Integers, name: str) -> str:
    if not shift.any():
        return x
    divisor = b.whole(np.left_shift(1, shift), f"{name}/divisor")
    return b.node("Floor", [b.node("Div", [x, divisor], f"{name}/divided")], f"{name}/shifted")


def _split(e: Emission, op: Any, multiply: Callable[[Integers, str], str]) -> str:
    """(A + ((B + bias) >> 4)) >> (n - 4): both sums stay below 2^24."""
    b, name = e.builder, integer_name(op.output)
    high, low = guard.split(op.weight)
    acc = multiply(low, f"{name}/low")
    if op.rescale.bias is not None:
        acc = b.node("Add", [acc, b.whole(op.rescale.bias, f"{name}/bias")], f"{name}/low_biased")
    acc = shifted(b, acc, np.array(4), f"{name}/low")
    acc = b.node("Add", [multiply(high, f"{name}/high"), acc], f"{name}/sum")
    rescale = Rescale(
        op.rescale.shift, op.rescale.low, op.rescale.high, bias_after=op.rescale.bias_after
    )
    return rescaled(e, acc, rescale, op.output, dropped=4)


def _convolution(e: Emission, op: net.Convolution) -> str:
    b, name = e.builder, integer_name(op.output)

    def convolve(weight: Integers, hint: str, bias: Integers | None = None) -> str:
        inputs = [e.names[op.x], b.whole(weight, f"{hint}/weight")]
        if bias is not None:
            inputs.append(b.whole(bias, f"{hint}/bias"))
        return b.node(
            "Conv",
            inputs,
            f"{hint}/acc",
            kernel_shape=list(weight.shape[2:]),
            group=op.groups,
            strides=list(op.strides),
            pads=list(op.pads),
            dilations=list(op.dilations),
        )

    if guard.needs_split(e.network, op):
        return _split(e, op, convolve)
    bias = op.rescale.bias
    if bias is None or op.rescale.multiplier is not None or bias.shape != (len(op.weight), 1, 1):
        return rescaled(e, convolve(op.weight, name), op.rescale, op.output)
    # The bias goes into the convolution: whole numbers add up in any order.
    acc = convolve(op.weight, name, bias.reshape(-1))
    r = op.rescale
    return rescaled(e, acc, Rescale(r.shift, r.low, r.high, None, None, r.bias_after), op.output)


def _matrix(e: Emission, op: net.MatrixProduct) -> str:
    b, name = e.builder, integer_name(op.output)

    def multiply(weight: Integers, hint: str) -> str:
        return b.node("MatMul", [e.names[op.x], b.whole(weight, f"{hint}/weight")], f"{hint}/acc")

    if guard.needs_split(e.network, op):
        return _split(e, op, multiply)
    return rescaled(e, multiply(op.weight, name), op.rescale, op.output)


def _product_of_two(kind: str) -> Callable[[Emission, Any], str]:
    def emit(e: Emission, op: Any) -> str:
        name = integer_name(op.output)
        acc = e.builder.node(kind, [e.names[op.a], e.names[op.b]], f"{name}/acc")
        return rescaled(e, acc, op.rescale, op.output)

    return emit


def _affine(e: Emission, op: net.Affine) -> str:
    name = integer_name(op.output)
    weight = e.builder.whole(op.weight, f"{name}/weight")
    acc = e.builder.node("Mul", [e.names[op.x], weight], f"{name}/acc")
    return rescaled(e, acc, op.rescale, op.output)


def _sum(e: Emission, op: net.Sum) -> str:
    b, name = e.builder, integer_name(op.output)

    def side(tensor: str, factor: int, hint: str) -> str:
        if factor == 1:
            return e.names[tensor]
        constant = b.number(factor, f"{name}/{hint}_factor")
        return b.node("Mul", [e.names[tensor], constant], f"{name}/{hint}")

    kind = "Add" if op.sign > 0 else "Sub"
    sides = [side(op.a, op.factor_a, "a"), side(op.b, op.factor_b, "b")]
    return rescaled(e, b.node(kind, sides, f"{name}/acc"), op.rescale, op.output)


def _reduction(e: Emission, op: net.Reduction) -> str:
    b, name = e.builder, integer_name(op.output)
    axes = b.integers(op.axes, f"{name}/axes")
    acc = b.node("ReduceSum", [e.names[op.x], axes], f"{name}/acc", keepdims=int(op.keepdims))
    return rescaled(e, acc, op.rescale, op.output)


def _requantize(e: Emission, op: net.Requantize) -> str:
    return rescaled(e, e.names[op.x], op.rescale, op.output)


def _max_pool(e: Emission, op: net.MaxPool) -> str:
    return e.builder.node(
        "MaxPool",
        [e.names[op.x]],
        integer_name(op.output),
        kernel_shape=list(op.kernel),
        strides=list(op.strides),
        pads=list(op.pads),
        dilations=list(op.dilations),
    )


def _maximum(e: Emission, op: net.Maximum) -> str:
    return _reduced_max(e, e.names[op.x], op.axes, integer_name(op.output), keepdims=op.keepdims)


def _reduced_max(e: Emission, x: str, axes: Sequence[int], output: str, *, keepdims: bool) -> str:
    """The axes are an input since opset 18."""
    if e.builder.opset < 18:
        told = {"axes": list(axes), "keepdims": int(keepdims)}
        return e.builder.node("ReduceMax", [x], output, **told)
    inputs = [x, e.builder.integers(axes, f"{output}/axes")]
    return e.builder.node("ReduceMax", inputs, output, keepdims=int(keepdims))


def _looked_up(e: Emission, index: str, table: Integers, name: str) -> str:
    b = e.builder
    index = b.node("Cast", [index], f"{name}/index", to=TensorProto.INT32)
    return b.node("Gather", [b.whole(table, f"{name}/table"), index], name)


def _lookup(e: Emission, op: net.Lookup) -> str:
    b, name = e.builder, integer_name(op.output)
    if op.first == 0:
        return _looked_up(e, e.names[op.x], op.table, name)
    index = b.node("Add", [e.names[op.x], b.number(-op.first, "offset")], f"{name}/place")
    return _looked_up(e, index, op.table, name)


def _softmax(e: Emission, op: net.Softmax) -> str:
    """A quotient's floor, put right by the remainder: no division need be correctly rounded."""
    b, name = e.builder, integer_name(op.output)
    axes = [op.axis]
    top = _reduced_max(e, e.names[op.x], axes, f"{name}/max", keepdims=True)
    distance = b.node("Sub", [top, e.names[op.x]], f"{name}/distance")
    power = _looked_up(e, distance, op.table, f"{name}/power")
    total = b.node(
        "ReduceSum", [power, b.integers(axes, f"{name}/axes")], f"{name}/total", keepdims=1
    )
    if op.is_unsigned:  # (2 * 255 * T + sum) / (2 * sum)
        twice = b.node("Mul", [power, b.number(2 * UINT8_HIGH, "unit")], f"{name}/twice")
        scaled = b.node("Add", [twice, total], f"{name}/scaled")
        total = b.node("Mul", [total, b.number(2, "two")], f"{name}/divisor")
    else:
        scaled = b.node("Mul", [power, b.number(128, "unit")], f"{name}/scaled")
    quotient = b.node("Div", [scaled, total], f"{name}/quotient")
    floor = b.node("Floor", [quotient], f"{name}/floor")
    product = b.node("Mul", [floor, total], f"{name}/product")
    rest = b.node("Sub", [scaled, product], f"{name}/rest")
    none, zero = b.number(-1, "none"), b.number(0, "zero")
    less = b.node("Clip", [rest, none, zero], f"{name}/less")
    over = b.node("Sub", [rest, total], f"{name}/over")
    more = b.node("Clip", [over, none, zero], f"{name}/more")
    correction = b.node("Add", [less, more], f"{name}/correction")
    plus = b.node("Add", [floor, correction], f"{name}/corrected")
    exact = b.node("Add", [plus, b.number(1, "one")], f"{name}/exact")
    return clipped(b, exact, 0, UINT8_HIGH if op.is_unsigned else INT8_HIGH, name)


def _reshape(e: Emission, op: net.Reshape) -> str:
    name = integer_name(op.output)
    shape = e.builder.integers(e.network.tensors[op.output].shape, f"{name}/shape")
    return e.builder.node("Reshape", [e.names[op.x], shape], name)


def _transpose(e: Emission, op: net.Transpose) -> str:
    return e.builder.node("Transpose", [e.names[op.x]], integer_name(op.output), perm=list(op.perm))


def _concat(e: Emission, op: net.Concat) -> str:
    inputs = [e.names[name] for name in op.inputs]
    return e.builder.node("Concat", inputs, integer_name(op.output), axis=op.axis)


def _slice(e: Emission, op: net.Slice) -> str:
    b, name = e.builder, integer_name(op.output)
    parts = (op.starts, op.ends, range(len(op.starts)), op.steps)
    hints = ("starts", "ends", "axes", "steps")
    inputs = [b.integers(list(p), f"{name}/{h}") for p, h in zip(parts, hints, strict=True)]
    return b.node("Slice", [e.names[op.x], *inputs], name)


def _pad(e: Emission, op: net.Pad) -> str:
    b, name = e.builder, integer_name(op.output)
    around = b.integers([*op.before, *op.after], f"{name}/pads")
    return b.node("Pad", [e.names[op.x], around, b.number(op.value, f"{name}/value")], name)


def _take(e: Emission, op: net.Take) -> str:
    b, name = e.builder, integer_name(op.output)
    indices = b.integers(op.indices, f"{name}/indices")
    return b.node("Gather", [e.names[op.x], indices], name, axis=op.axis)


def _embedding(e: Emission, op: net.Embedding) -> str:
    b, name = e.builder, integer_name(op.output)
    return b.node("Gather", [b.whole(op.table, f"{name}/table"), e.names[op.indices]], name)


def _float(e: Emission, op: net.FloatNode) -> str:
    b, name = e.builder, integer_name(op.output)
    node = onnx.NodeProto.FromString(op.node)
    known = {source: f"{name}/{source}" for source, _ in op.inputs}
    for source, tensor in op.inputs:
        scale = e.network.tensors[tensor].scale
        assert scale is not None
        factor = b.stored(np.array(np.float32(1 / scale)), f"{name}/scale")
        known[source] = b.node("Mul", [e.names[tensor], factor], known[source])
    known |= {source: b.stored(v, f"{name}/{source}") for source, v in op.constants.items()}
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.input[:], copy.output[:]
    copy.input.extend(known[source] if source else "" for source in node.input)
    copy.name = real = b.take(f"{name}/real")
    copy.output.append(real)
    b.nodes.append(copy)
    made = e.network.tensors[op.output]
    assert made.scale is not None
    return quantized(b, real, made.scale, name, made.limits)


EMITTERS: Mapping[type, Callable[[Emission, Any], str]] = {
    net.Affine: _affine,
    net.Concat: _concat,
    net.Convolution: _convolution,
    net.Embedding: _embedding,
    net.FloatNode: _float,
    net.Lookup: _lookup,
    net.MatrixProduct: _matrix,
    net.MaxPool: _max_pool,
    net.Maximum: _maximum,
    net.Pad: _pad,
    net.Product: _product_of_two("Mul"),
    net.Reduction: _reduction,
    net.Requantize: _requantize,
    net.Reshape: _reshape,
    net.Slice: _slice,
    net.Softmax: _softmax,
    net.Sum: _sum,
    net.Take: _take,
    net.TensorProduct: _product_of_two("MatMul"),
    net.Transpose: _transpose,
}
