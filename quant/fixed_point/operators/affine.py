"""x * factor + term with constants: an int8 factor and a whole bias, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fixed_point.lowering.lowering import Lowering
from quant.fixed_point.lowering.weights import quantize_weights
from quant.fixed_point.network.network import Affine


def affine(
    lowering: Lowering,
    node: onnx.NodeProto,
    factor: NDArray[Any],
    term: NDArray[Any],
    position: int = 0,
) -> None:
    """Lower a node that computes x * factor + term of its input at `position`.

    factor and term broadcast to x, which they do not make larger. A Relu or Clip behind it is
    taken in.
    """
    x, x_scale = lowering.real(node, position)
    shape = np.broadcast_shapes(factor.shape, term.shape)
    if np.broadcast_shapes(shape, x.shape) != x.shape:
        raise lowering.fault(
            node, f"spreads {list(x.shape)} over a constant of {list(shape)}", "expand it before"
        )
    name, bounds = lowering.activation(node.output[0])
    done = quantize_weights(
        np.broadcast_to(factor, shape).reshape(-1, 1),
        np.broadcast_to(term, shape).reshape(-1),
        x,
        lowering.wanted(name, x_scale * 2**24, bounds),
        lowering.options,
    )
    lowering.told(node, done.notes)
    rescale = done.rescale(shape, bounds, lowering.limits(name, bounds.is_positive))
    lowering.add(Affine(name, x.name, done.weight.reshape(shape), rescale), done.scale)
