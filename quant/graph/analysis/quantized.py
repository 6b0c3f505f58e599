"""What is quantized in an ONNX graph already, and by which scales.

QDQ: float operators between QuantizeLinear and DequantizeLinear. QOperator: operators that take
codes (QLinearConv). Dynamic: scales are computed as the network runs (DynamicQuantizeLinear).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from quant.graph.graph import Graph

FLOAT, QDQ, QOPERATOR, DYNAMIC = "float", "QDQ", "QOperator", "dynamic"
_DYNAMIC = ("DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")


@dataclass(frozen=True)
class Held:
    """A tensor that is held as codes: real = (code - zero_point) * scale.

    names: the float tensor, its codes and the float tensor behind them. bits: of a code.
    """

    names: tuple[str, ...]
    scale: float
    zero_point: int
    bits: int
    is_signed: bool

    @property
    def signed_zero_point(self) -> int:
        """As int8 or int16 codes have it, which differ from unsigned ones by half their range."""
        return self.zero_point if self.is_signed else self.zero_point - (1 << (self.bits - 1))


def form(graph: onnx.GraphProto) -> tuple[str, str]:
    """How a graph is quantized, and the name of the first operator that shows it."""
    found = FLOAT, ""
    for node in graph.node:
        if node.op_type in _DYNAMIC:
            return DYNAMIC, node.op_type
        if node.op_type.startswith("QLinear"):
            return QOPERATOR, node.op_type
        if node.op_type == "QuantizeLinear" and found[0] == FLOAT:
            found = QDQ, node.op_type
    return found


def activations(model: onnx.ModelProto) -> list[Held]:
    """Tensors that are no weights and have one scale, in the graph's order."""
    return list(_activations(Graph(model, is_copied=False)))


def _activations(graph: Graph) -> Iterator[Held]:
    for node in graph.nodes:
        if node.op_type != "QuantizeLinear" or graph.constant(node.input[0]) is not None:
            continue
        scale = graph.constant(node.input[1])
        if scale is None or scale.size != 1:
            continue
        given = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        zero = np.zeros((), np.uint8) if given is None else given
        behind = [
            reader.output[0]
            for reader in graph.consumers(node.output[0])
            if reader.op_type == "DequantizeLinear"
        ]
        yield Held(
            (node.input[0], node.output[0], *behind),
            float(scale.reshape(-1)[0]),
            int(zero.reshape(-1)[0]),
            zero.dtype.itemsize * 8,
            zero.dtype.kind == "i",
        )
