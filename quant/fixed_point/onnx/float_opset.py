"""A FloatNode in a newer opset, in which its operator may have other inputs, or another meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

from quant.fixed_point.network.float_node import run_float_node
from quant.fixed_point.network.network import FloatNode

_FAR = 1e-5  # of the largest: both compute the same in float32


def at_opset(
    operation: FloatNode, shapes: Mapping[str, tuple[int, ...]], opset: int
) -> FloatNode | None:
    """The same as one node of a newer opset; None where there is none. shapes: of its inputs."""
    try:
        made = version_converter.convert_version(_model(operation, shapes), opset)
    except Exception:  # the converter's C++ exceptions arrive as several Python types
        return None
    nodes = [node for node in made.graph.node if node.op_type != "Constant"]
    if len(nodes) != 1:
        return None
    known = {one.name: numpy_helper.to_array(one) for one in made.graph.initializer}
    for node in made.graph.node:
        if node.op_type == "Constant":
            known[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    (node,) = nodes
    if operation.opset < 11 and node.op_type == "Resize":
        # Resize-10 knew this way alone. onnx's converter leaves Resize-11's default, another one.
        node.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
    constants = {name: known[name] for name in node.input if name in known}
    newer = replace(operation, node=node.SerializeToString(), constants=constants, opset=opset)
    return newer if _is_same(operation, newer, shapes) else None


def _model(operation: FloatNode, shapes: Mapping[str, tuple[int, ...]]) -> onnx.ModelProto:
    node = onnx.NodeProto.FromString(operation.node)
    graph = helper.make_graph(
        [node],
        "float",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()],
        [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in operation.constants.items()],
    )
    opset = helper.make_opsetid("", operation.opset)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def _is_same(old: FloatNode, new: FloatNode, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    random = np.random.default_rng(0)
    reals = {name: random.standard_normal(s).astype(np.float32) for name, s in shapes.items()}
    expected, found = (run_float_node(one, reals) for one in (old, new))
    if expected.shape != found.shape:
        return False
    far = _FAR * float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    return bool(np.allclose(expected, found, rtol=0, atol=far, equal_nan=True))
