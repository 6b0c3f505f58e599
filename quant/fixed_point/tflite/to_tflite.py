"""An integer network as a TFLite file."""

from __future__ import annotations

import numpy as np

from quant.fixed_point.network import guard
from quant.fixed_point.network import network as net
from quant.fixed_point.network.network import Network, integer_name
from quant.fixed_point.tflite.builder import TFLiteBuilder
from quant.fixed_point.tflite.emission import Emission, Value
from quant.fixed_point.tflite.operations import EMITTERS


def to_tflite(network: Network, name: str) -> bytes:
    """The network with its own inputs and outputs; those of four axes are channels last.

    Raises Fault where float32 would lose whole numbers, and on operators that were left in float.
    """
    guard.check(network)
    builder = TFLiteBuilder()
    emission = Emission(builder, network)
    inputs, outputs = {}, {}
    for given in network.inputs:
        inputs[given.name] = _input(emission, given)
    for operation in network.operations:
        emission.values[operation.output] = EMITTERS[type(operation)](emission, operation)
    for output in network.outputs:
        outputs[output.name] = _output(emission, output)
    return builder.finish(name, inputs, outputs)


def _input(e: Emission, given: net.RealInput | net.IndexInput) -> int:
    """The input's index; its codes become the value of its tensor."""
    shape = e.network.tensors[given.tensor].shape
    is_real = isinstance(given, net.RealInput)
    value = Value(0, shape, is_real and len(shape) == 4)
    dtype = "float32"
    if isinstance(given, net.IndexInput):
        dtype = "int32" if given.is_narrow else given.dtype
    index = e.builder.tensor(value.stored_shape, given.name, dtype)
    value = Value(index, shape, value.is_last)
    if isinstance(given, net.RealInput):
        name = integer_name(given.tensor)
        p, d = given.input_scale.numerator, given.input_scale.denominator
        value = e.number("MUL", value, 2 * p, f"{name}/scaled")
        value = e.number("ADD", value, d, f"{name}/plus_half")
        value = e.number("DIV", value, 2 * d, f"{name}/divided")
        value = e.unary("FLOOR", value, f"{name}/floor")
        value = e.clipped(value, *e.network.tensors[given.tensor].limits, name)
    e.values[given.tensor] = value
    return index


def _output(e: Emission, output: net.Output) -> int:
    scale = e.network.tensors[output.tensor].scale
    assert scale is not None
    factor = float(np.float32(1 / scale))
    return e.number("MUL", e.last(e.values[output.tensor]), factor, output.name).index
