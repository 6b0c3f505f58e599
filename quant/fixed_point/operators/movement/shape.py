"""Operators that move numbers and change none."""

from __future__ import annotations

import onnx

from quant.fixed_point.lowering.lowering import Lowering
from quant.fixed_point.network.network import Reshape, Transpose

_INDICES = ("INT32", "INT64")
_REALS = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16")


def same(lowering: Lowering, node: onnx.NodeProto) -> None:
    """Identity, and Dropout at inference."""
    # Since opset 12 an input says whether a Dropout trains.
    if len(node.input) > 2 and node.input[2] and lowering.required(node, 2).any():
        raise lowering.fault(node, "trains", "export the network in its inference mode")
    lowering.rename(node.output[0], lowering.tensor(node))


def cast(lowering: Lowering, node: onnx.NodeProto) -> None:
    """Between integers, for indices; between floats."""
    x = lowering.tensor(node)
    wanted = onnx.TensorProto.DataType.Name(int(lowering.attribute(node, "to")))
    if wanted not in (_INDICES if x.scale is None else _REALS):
        raise lowering.fault(
            node, f"makes {wanted} of {'indices' if x.scale is None else 'reals'}", "leave it out"
        )
    lowering.rename(node.output[0], x)


def reshape(lowering: Lowering, node: onnx.NodeProto) -> None:
    """Reshape, Flatten, Squeeze and Unsqueeze: the output's shape is known already."""
    x = lowering.tensor(node)
    lowering.add(Reshape(node.output[0], x.name), x.scale, bounds=(x.low, x.high))


def transpose(lowering: Lowering, node: onnx.NodeProto) -> None:
    x = lowering.tensor(node)
    perm = lowering.attribute(node, "perm") or range(len(x.shape))[::-1]
    operation = Transpose(node.output[0], x.name, tuple(int(axis) for axis in perm))
    lowering.add(operation, x.scale, bounds=(x.low, x.high))


def depth_to_space(lowering: Lowering, node: onnx.NodeProto) -> None:
    """As a Reshape, a Transpose and a Reshape. Source: ONNX's operator documentation."""
    x = lowering.tensor(node)
    n, c, h, w = x.shape
    block = int(lowering.attribute(node, "blocksize"))
    inner = c // block**2
    if str(lowering.attribute(node, "mode", "DCR")) == "DCR":
        split, perm = (n, block, block, inner, h, w), (0, 3, 4, 1, 5, 2)
    else:
        split, perm = (n, inner, block, block, h, w), (0, 1, 4, 2, 5, 3)
    bounds = (x.low, x.high)
    parts = lowering.fresh(f"{node.output[0]}/blocks")
    lowering.add(Reshape(parts, x.name), x.scale, split, bounds, is_float=False)
    moved = lowering.fresh(f"{node.output[0]}/moved")
    shape = tuple(split[axis] for axis in perm)
    lowering.add(Transpose(moved, parts, perm), x.scale, shape, bounds, is_float=False)
    lowering.add(Reshape(node.output[0], moved), x.scale, bounds=bounds)
