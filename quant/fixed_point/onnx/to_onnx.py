"""An integer network as an ONNX file that carries whole numbers in float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from quant.fixed_point.network import guard
from quant.fixed_point.network import network as net
from quant.fixed_point.network.network import INT8_LOW, Network, integer_name
from quant.fixed_point.onnx.builder import OPSET, OnnxBuilder
from quant.fixed_point.onnx.operations import EMITTERS, Emission, dequantized, quantized


def to_onnx(network: Network, name: str) -> onnx.ModelProto:
    """The network with its own inputs and outputs: reals and indices in, reals out.

    A tensor `a` of the network is `a_q` in the file. Raises Fault where float32 would lose whole
    numbers.
    """
    guard.check(network)
    builder = OnnxBuilder(_opset(network))
    emission = Emission(builder, network)
    _reserve(builder, network)
    for given in network.inputs:
        if isinstance(given, net.RealInput):
            codes_name, limits = integer_name(given.tensor), network.tensors[given.tensor].limits
            codes = quantized(builder, given.name, given.input_scale, codes_name, limits)
            emission.names[given.tensor] = codes
        else:
            emission.names[given.tensor] = given.name
    for operation in network.operations:
        emission.names[operation.output] = EMITTERS[type(operation)](emission, operation)
    for output in network.outputs:
        dequantized(emission, output.tensor, output.name)
    return builder.model(name, _inputs(network), _outputs(network))


def to_isolated_onnx(network: Network, name: str) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Each operation for itself, its inputs quantized from the float network's own tensors.

    Inputs: the float tensors that are read, by their names. Returns the model and, for each tensor
    that stands for a float one and that an operation makes, the name of its codes in the file.
    """
    builder = OnnxBuilder(_opset(network))
    emission = Emission(builder, network)
    singles: dict[str, str] = {}
    made: dict[str, str] = {}
    indices = {g.tensor: g.name for g in network.inputs if isinstance(g, net.IndexInput)}
    sources = _sources(network, indices)
    for source in sources:  # before another tensor's codes get that name
        builder.take(source)
    for operation in network.operations:
        for read in net.reads(operation):
            tensor = network.tensors[read]
            if read in indices:
                emission.names[read] = indices[read]
            elif tensor.source is not None and tensor.scale is not None:
                if read not in singles:
                    hint = f"{integer_name(read)}/single"
                    singles[read] = quantized(
                        builder, tensor.source, tensor.scale, hint, tensor.limits
                    )
                emission.names[read] = singles[read]
        output = EMITTERS[type(operation)](emission, operation)
        emission.names[operation.output] = output
        if network.tensors[operation.output].source is not None:
            made[operation.output] = output
    return _isolated_model(builder, network, name, sources, made), made


def _sources(network: Network, indices: Mapping[str, str]) -> list[str]:
    """What the operations read: float tensors, and inputs of indices."""
    found: list[str] = []
    for operation in network.operations:
        for read in net.reads(operation):
            tensor = network.tensors[read]
            if read in indices:
                found.append(indices[read])
            elif tensor.source is not None and tensor.scale is not None:
                found.append(tensor.source)
    return list(dict.fromkeys(found))


def _isolated_model(
    builder: OnnxBuilder,
    network: Network,
    name: str,
    sources: Sequence[str],
    made: Mapping[str, str],
) -> onnx.ModelProto:
    shapes = {t.source: t.shape for t in network.tensors.values() if t.source is not None}
    inputs = [
        helper.make_tensor_value_info(source, TensorProto.FLOAT, shapes[source])
        for source in sources
        if source in shapes
    ]
    inputs += [v for v in _inputs(network) if v.name in set(sources) - set(shapes)]
    outputs = [
        helper.make_tensor_value_info(codes, TensorProto.FLOAT, network.tensors[tensor].shape)
        for tensor, codes in made.items()
    ]
    return builder.model(name, inputs, outputs)


def _opset(network: Network) -> int:
    """The builder's own, or a newer one that an operator left in float comes from."""
    floats = (one.opset for one in network.operations if isinstance(one, net.FloatNode))
    return max(OPSET, *floats, OPSET)


def _reserve(builder: OnnxBuilder, network: Network) -> None:
    """The names that the file's interface and the network's tensors must get."""
    for port in (*network.inputs, *network.outputs):
        builder.take(port.name)


def _inputs(network: Network) -> list[onnx.ValueInfoProto]:
    made = []
    for given in network.inputs:
        dtype: Any = np.dtype("float32" if isinstance(given, net.RealInput) else given.dtype)
        code = helper.np_dtype_to_tensor_dtype(dtype)
        shape = network.tensors[given.tensor].shape
        made.append(helper.make_tensor_value_info(given.name, code, shape))
    return made


def _outputs(network: Network) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(
            output.name, TensorProto.FLOAT, network.tensors[output.tensor].shape
        )
        for output in network.outputs
    ]


__all__ = ["INT8_LOW", "to_isolated_onnx", "to_onnx"]
