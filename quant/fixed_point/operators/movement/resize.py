"""Resize and Upsample, nearest: each axis takes fixed places."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from quant.execution.run import FloatRun
from quant.fixed_point.lowering.lowering import Lowering
from quant.fixed_point.network.network import Take


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
        places = _places(lowering, node, axis, out)
        shape[axis] = out[axis]
        is_last = axis == axes[-1]
        made = node.output[0] if is_last else lowering.fresh(f"{node.output[0]}/axis")
        operation = Take(made, name, places, axis)
        bounds = (x.low, x.high)
        name = lowering.add(operation, x.scale, tuple(shape), bounds, is_float=is_last)


def _places(
    lowering: Lowering, node: onnx.NodeProto, axis: int, out: tuple[int, ...]
) -> tuple[int, ...]:
    """Which element of an axis each place takes, as onnxruntime does it with the node itself, on a
    tensor that holds its own places: the operator has 28 variants, in five opsets."""
    shape = lowering.tensor(node).shape
    constants = {n: lowering.required(node, i) for i, n in enumerate(node.input) if i and n}
    graph = helper.make_graph(
        [node],
        "places",
        [helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", lowering.graph.opset)
    run = FloatRun(helper.make_model(graph, opset_imports=[opset], ir_version=8))
    line = np.arange(shape[axis], dtype=np.float32)
    line = line.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    made = run({node.input[0]: np.broadcast_to(line, shape).copy()})[node.output[0]]
    if made.shape != out:
        raise lowering.fault(node, f"makes {list(made.shape)}, not {list(out)}", "export it anew")
    places = np.moveaxis(made, axis, 0).reshape(out[axis], -1)[:, 0]
    return tuple(int(place) for place in places)
