"""Resize and Upsample, nearest: each axis takes fixed places."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from quant.fixed_point.lowering import Lowering
from quant.fixed_point.network import Take
from quant.graph_run import FloatRun

_COPIED = ("coordinate_transformation_mode", "nearest_mode", "mode")


def nearest(lowering: Lowering, node: onnx.NodeProto) -> None:
    x = lowering.tensor(node)
    if str(lowering.attribute(node, "mode", "nearest")) != "nearest":
        raise lowering.fault(node, "interpolates", "use nearest, or cut the graph before it")
    if str(lowering.attribute(node, "coordinate_transformation_mode", "")) == "tf_crop_and_resize":
        raise lowering.fault(node, "crops", "use a Slice before it")
    out = lowering.shape(node.output[0])
    axes = [axis for axis in range(len(out)) if out[axis] != x.shape[axis]]
    if not axes:
        lowering.rename(node.output[0], x)
    name, shape = x.name, list(x.shape)
    for axis in axes:
        places = _places(lowering, node, axis, shape[axis], out[axis])
        shape[axis] = out[axis]
        is_last = axis == axes[-1]
        made = node.output[0] if is_last else lowering.fresh(f"{node.output[0]}/axis")
        operation = Take(made, name, places, axis)
        bounds = (x.low, x.high)
        name = lowering.add(operation, x.scale, tuple(shape), bounds, is_float=is_last)


def _places(
    lowering: Lowering, node: onnx.NodeProto, axis: int, length: int, wanted: int
) -> tuple[int, ...]:
    """Which element each place takes, as onnxruntime does it: the operator has 28 variants."""
    scale = wanted / length
    scales = lowering.constant(node, 2 if node.op_type == "Resize" else 1)
    if scales is not None and scales.size == len(lowering.tensor(node).shape):
        scale = float(scales.reshape(-1)[axis])
    given = {name: lowering.attribute(node, name) for name in _COPIED}
    given = {name: value for name, value in given.items() if value is not None}
    inputs = ["x", "", "scales"] if node.op_type == "Resize" else ["x", "scales"]
    graph = helper.make_graph(
        [helper.make_node(node.op_type, inputs, ["y"], **given)],
        "places",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 1, 1, length])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.array([1, 1, 1, scale], np.float32), "scales")],
    )
    opset = helper.make_opsetid("", lowering.graph.opset)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    y = FloatRun(model)({"x": np.arange(length, dtype=np.float32).reshape(1, 1, 1, -1)})["y"]
    if y.size != wanted:
        raise lowering.fault(node, f"makes {y.size} of {length}, not {wanted}", "export it anew")
    return tuple(int(place) for place in y.reshape(-1))
