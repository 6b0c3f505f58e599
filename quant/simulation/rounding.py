"""Which tensors the simulator does not round, and which its analysis has no numbers for.

The NPU computes on through both. Step 2 decides this and writes it nowhere; the rules are read off
its results.
"""

from __future__ import annotations

import onnx

from quant.graph.graph import Graph, attribute
from quant.simulation.step1 import Step1

CLIPS = {"Clip", "Relu"}
# What a convolution takes in as its last step.
DEPTHWISE_ACTIVATIONS = CLIPS | {"Elu", "PRelu"}
ACTIVATIONS = DEPTHWISE_ACTIVATIONS | {
    "HardSwish", "LeakyRelu", "Selu", "Sigmoid", "Softplus", "Tanh", "exGelu", "exSwish",
}  # fmt: skip
# NPUs whose depthwise convolutions take a sum in, as all others do.
ADDING_DEPTHWISE = {"rk3576"}
# What is flat beyond a range, to which the SDK then narrows the tensor before.
SATURATED = {"HardSwish", "Sigmoid"}
CUTS = CLIPS | SATURATED
# What else takes in a Relu.
BEFORE_RELU = {"Add", "BatchNormalization", "Mul"}


def hidden(graph: Graph, step1: Step1) -> frozenset[str]:
    """Names of the tensors that the analysis takes together with what cuts them off."""
    return frozenset(
        tensor
        for node in graph.nodes
        for tensor in node.output
        if (held := step1.parameters.get(tensor))
        and held.is_integer
        and _is_cut_off(graph, tensor, step1)
    )


def _is_cut_off(graph: Graph, tensor: str, step1: Step1) -> bool:
    parameters = step1.parameters
    readers = graph.consumers(tensor)
    if any(reader.op_type in CLIPS for reader in readers):
        return all(parameters.get(reader.output[0]) == parameters[tensor] for reader in readers)
    reader = _only_reader(graph, tensor)
    return reader is not None and reader.op_type in SATURATED and parameters[tensor].is_narrowed


def unrounded(graph: Graph, platform: str) -> frozenset[str]:
    """Names of the tensors."""
    found: set[str] = set()
    added: set[str] = set()  # outputs of an Add that a convolution has taken in
    for node in graph.nodes:
        for tensor in node.output:
            reader = _only_reader(graph, tensor)
            if reader is None:
                continue
            if _runs_on(graph, node, reader):
                found.add(tensor)
            elif _joins(graph, node, reader, platform) and reader.output[0] not in added:
                added.add(reader.output[0])
                found.add(tensor)
    return frozenset(found)


def _only_reader(graph: Graph, tensor: str) -> onnx.NodeProto | None:
    readers = graph.consumers(tensor)
    return readers[0] if len(readers) == 1 and not graph.is_output(tensor) else None


def _runs_on(graph: Graph, node: onnx.NodeProto, reader: onnx.NodeProto) -> bool:
    if node.op_type != "Conv":
        return reader.op_type == "Relu" and node.op_type in BEFORE_RELU
    if is_depthwise(graph, node):
        return reader.op_type in DEPTHWISE_ACTIVATIONS
    return reader.op_type in ACTIVATIONS and not _is_grouped(node)


def _joins(graph: Graph, node: onnx.NodeProto, reader: onnx.NodeProto, platform: str) -> bool:
    """Whether the sum `reader` is the last step of a convolution."""
    if reader.op_type != "Add" or any(
        graph.constant_shape(name) is not None for name in reader.input
    ):
        return False
    if node.op_type != "Conv":
        return False
    return not _is_grouped(node) or (platform in ADDING_DEPTHWISE and is_depthwise(graph, node))


def _is_grouped(node: onnx.NodeProto) -> bool:
    return attribute(node, "group", 1) != 1


def is_depthwise(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether a Conv has one input channel a group, and several groups."""
    shape = graph.constant_shape(node.input[1])
    return _is_grouped(node) and shape is not None and shape[1] == 1
