"""The finished ONNX model: only what the outputs need, under names from the TFLite file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from quant.graph.check import check_graph
from quant.tflite.building.builder import Builder
from quant.tflite.building.names import Names
from quant.tflite.inputs import Port

OPSET = 15
IR_VERSION = 8  # the one that came with opset 15


def needed(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs are computed from, in order."""
    wanted, kept = set(outputs), list[onnx.NodeProto]()
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def final_names(
    b: Builder, inputs: Sequence[Port], outputs: Sequence[tuple[Port, str]]
) -> dict[str, str]:
    """Provisional -> final name of every tensor that is needed.

    Inputs and outputs come first, so their names are the file's own; a tensor that holds a
    TFLite one is called like it; what has no TFLite name is called after what it is part of.
    """
    names, final = Names(), dict[str, str]()
    for port in inputs:
        final[b.values[port.index].name] = names.fresh(port.name)
    for port, name in outputs:
        final[name] = names.fresh(port.name)
    kept = needed(b.nodes, [name for _, name in outputs])
    used = [name for node in kept for name in [*node.output, *node.input] if name]
    holders = {value.name: index for index, value in reversed(b.values.items())}
    for name in used:
        if name in holders and name not in final:
            label = b.graph.label(holders[name])
            final[name] = names.fresh(b.hints[name] if label in names.taken else label)
    for name in used:
        if name not in final:
            final[name] = names.fresh(b.hints[name])
    return final


def model_proto(
    b: Builder,
    inputs: Sequence[Port],
    outputs: Sequence[tuple[Port, str]],
    final: Mapping[str, str],
) -> onnx.ModelProto:
    """The model, checked by onnx; bytes depend on nothing but the arguments."""
    nodes = needed(b.nodes, [name for _, name in outputs])
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        [renamed(node, final) for node in nodes],
        "tflite",
        [value_info(b, port, final[b.values[port.index].name]) for port in inputs],
        [value_info(b, port, final[name]) for port, name in outputs],
        [
            numpy_helper.from_array(array, final[name])
            for name, array in b.initializers.items()
            if name in used
        ],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="npumake",
    )
    check_graph(model, full=True)
    return model


def renamed(node: onnx.NodeProto, final: Mapping[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.input[:], copy.output[:]
    copy.input.extend(final[name] if name else "" for name in node.input)
    copy.output.extend(final[name] for name in node.output)
    copy.name = copy.output[0]
    return copy


def value_info(b: Builder, port: Port, name: str) -> onnx.ValueInfoProto:
    dtype: np.dtype[Any] = b.graph.tensors[port.index].dtype
    code = helper.np_dtype_to_tensor_dtype(dtype)
    return helper.make_tensor_value_info(name, code, port.stored_shape)
