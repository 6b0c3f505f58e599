"""Gather: rows of a constant table (an embedding), or fixed places of a tensor."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fixed_point.lowering.lowering import Lowering
from quant.fixed_point.network.network import INT8_HIGH, INT8_LOW, Embedding, Reshape, Take


def gather(lowering: Lowering, node: onnx.NodeProto) -> None:
    data, places = lowering.constant(node, 0), lowering.constant(node, 1)
    if data is not None:
        _embedding(lowering, node, data.astype(np.float64))
        return
    if places is None:
        raise lowering.fault(node, "computes its indices and its data", "fix one of them")
    x = lowering.tensor(node)
    axis = lowering.axis(node, int(lowering.attribute(node, "axis", 0)), len(x.shape))
    indices = tuple(int(i) % x.shape[axis] for i in places.reshape(-1))
    bounds = (x.low, x.high)
    if places.ndim == 1:
        lowering.add(Take(node.output[0], x.name, indices, axis), x.scale, bounds=bounds)
        return
    shape = (*x.shape[:axis], len(indices), *x.shape[axis + 1 :])
    taken = lowering.fresh(f"{node.output[0]}/taken")
    lowering.add(Take(taken, x.name, indices, axis), x.scale, shape, bounds, is_float=False)
    lowering.add(Reshape(node.output[0], taken), x.scale, bounds=bounds)


def _embedding(lowering: Lowering, node: onnx.NodeProto, data: NDArray[np.float64]) -> None:
    """The table's own magnitude gives its scale, except with constant shifts."""
    indices = lowering.tensor(node, 1)
    if indices.scale is not None or int(lowering.attribute(node, "axis", 0)) != 0:
        raise lowering.fault(node, "does not pick rows by indices", "use axis 0 and int64 indices")
    peak = float(np.abs(data).max(initial=0.0))
    if lowering.options.shifts == "constant":
        scale = lowering.free_scale(node.output[0])
    else:
        scale = lowering.fitting(peak) if peak else lowering.factor
    table = np.clip(np.rint(data * float(scale)), INT8_LOW, INT8_HIGH).astype(np.int64)
    bounds = (int(table.min()), int(table.max()))
    lowering.limit(indices, len(table))
    lowering.add(Embedding(node.output[0], table, indices.name), scale, bounds=bounds)
