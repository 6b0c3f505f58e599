"""What stays in float, where the options allow it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fault import Fault
from quant.fixed_point.lowering.lowering import Lowering
from quant.fixed_point.network.network import FloatNode
from quant.fixed_point.onnx.builder import OPSET
from quant.fixed_point.onnx.float_opset import at_opset
from quant.graph.operators import OWN_DOMAINS, label, operator, subgraphs


def leave_in_float(lowering: Lowering, node: onnx.NodeProto, why: str = "") -> None:
    """Put a node between dequantized inputs and a quantized output. why: what integers lack.

    Raises Fault on nodes that this can't be done with.
    """
    if node.domain not in OWN_DOMAINS:
        raise lowering.fault(
            node,
            "is no operator of ONNX's own",
            "export with standard operators, or cut the graph before it",
        )
    if len([name for name in node.output if name]) != 1 or any(subgraphs(node)):
        raise lowering.fault(node, "has several outputs or a graph inside", "cut the graph there")
    inputs: list[tuple[str, str]] = []
    constants: dict[str, NDArray[Any]] = {}
    for position, name in enumerate(node.input):
        value = lowering.constant(node, position)
        if value is not None:
            constants[name] = np.asarray(value)
        elif name and name not in dict(inputs):
            inputs.append((name, lowering.real(node, position)[0].name))
    if not inputs:
        advice = f"leave `{node.output[0]}` out of the `outputs`"
        raise lowering.fault(node, "reads no input of the network", advice)
    _require_float(lowering, node)
    name, opset = str(node.output[0]), lowering.graph.opset
    operation = FloatNode(name, node.SerializeToString(), tuple(inputs), constants, opset)
    if opset < OPSET:
        newer = at_opset(operation, {source: lowering.shape(source) for source, _ in inputs}, OPSET)
        if newer is None:
            raise lowering.fault(
                node,
                f"of opset {opset} has no like in opset {OPSET}",
                f"export with opset {OPSET} or later",
            )
        operation = newer
    lowering.add(operation, lowering.free_scale(name))
    said = why or f"{operator(node)} `{label(node)}` has no integer form"
    lowering.notes.append(f"{said}: it is left in float, and no TFLite file is written")


def _require_float(lowering: Lowering, node: onnx.NodeProto) -> None:
    type_ = lowering.graph.type(node.output[0])
    if type_ is not None and type_.dtype != "float32":
        raise Fault(f"{operator(node)} `{label(node)}` makes {type_.dtype}", "cut the graph there")
