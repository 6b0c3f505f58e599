"""Which axis a Softmax works on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import onnx

from quant.graph.graph import Graph, attribute


def softmax_axis(graph: Graph, node: onnx.NodeProto, shape: Sequence[int]) -> int | None:
    """The axis, >= 0; None where there are several. shape: of the node's input.

    Before opset 13, Softmax works on `axis`, 1 where left out, and on all axes behind it; those of
    length 1 add nothing. Source: ONNX's operator documentation, Softmax-11 and -13.
    """
    rank = len(shape)
    if graph.opset >= 13:
        return cast(int, attribute(node, "axis", -1)) % rank
    first = cast(int, attribute(node, "axis", 1)) % rank if rank > 1 else 0
    long = [axis for axis in range(first, rank) if shape[axis] != 1]
    return None if len(long) > 1 else [*long, first][0]
