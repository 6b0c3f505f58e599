"""What a Relu or Clip clips to."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import onnx

from quant.fault import Fault
from quant.fixed_point.network.network import INT8_HIGH, INT8_LOW
from quant.graph.graph import Graph, attribute
from quant.graph.operators import label, operator


@dataclass(frozen=True)
class Bounds:
    """Reals that a result is clipped to; None for no bound."""

    low: float | None = None
    high: float | None = None

    @property
    def is_positive(self) -> bool:
        return self.low is not None and self.low >= 0

    def codes(
        self, scale: Fraction, limits: tuple[int, int] = (INT8_LOW, INT8_HIGH)
    ) -> tuple[int, int]:
        """The same in codes of a scale, within limits."""
        low, high = limits
        if self.low is not None:
            low = min(max(low, round(self.low * float(scale))), high)
        if self.high is not None:
            high = max(min(high, round(self.high * float(scale))), low)
        return low, high


def bounds_of(graph: Graph, node: onnx.NodeProto) -> Bounds | None:
    """What a Relu or Clip clips to; None for other operators. Raises Fault on computed bounds."""
    if node.op_type == "Relu":
        return Bounds(low=0.0)
    if node.op_type != "Clip":
        return None
    given: list[Any]
    if graph.opset < 11:
        given = [attribute(node, "min"), attribute(node, "max")]
    else:
        names = [node.input[i] if i < len(node.input) else "" for i in (1, 2)]
        given = [graph.constant(name) if name else None for name in names]
        if any(name and value is None for name, value in zip(names, given, strict=True)):
            raise Fault(
                f"{operator(node)} `{label(node)}` computes its bounds", "export with fixed bounds"
            )
    low, high = (None if one is None else float(np.asarray(one).reshape(())) for one in given)
    if low is not None and high is not None and low > high:
        low = high  # as ONNX has it: all elements become the upper one
    return Bounds(_finite(low), _finite(high))


def _finite(bound: float | None) -> float | None:
    """Exporters write the largest float, or infinity, for "no bound"."""
    return None if bound is None or abs(bound) > 1e30 else bound
