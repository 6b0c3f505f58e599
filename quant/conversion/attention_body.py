"""Attention of opset 23 in older operators, as torch writes it.

onnx 1.18's own body drops a batch of one, and takes heads of three axes for another order than
onnxruntime and onnx's text do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from quant.graph.graph import attribute
from quant.graph.types import dtype_name, numpy_dtype

# What a mask adds to scores that do not count: far below any score, and float16 holds it.
_MASKED = -10_000.0


class _Body:
    """Nodes of a function, and constants of its type."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._dtype = dtype

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def numbers(self, value: Any) -> str:
        return self.op("Constant", value=numpy_helper.from_array(np.asarray(value, self._dtype)))

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        lengths = numpy_helper.from_array(np.array(shape, np.int64))
        return self.op("Reshape", x, self.op("Constant", value=lengths))

    def heads(self, x: str, shape: Sequence[int], count: int) -> tuple[str, list[int]]:
        """[batch, heads, length, size], and these numbers."""
        if len(shape) == 4:
            return x, [*shape]
        batch, length, width = shape
        parted = self.reshape(x, [batch, length, count, width // count])
        made = self.op("Transpose", parted, perm=[0, 2, 1, 3])
        return made, [batch, count, length, width // count]

    def repeated(self, x: str, shape: Sequence[int], times: int) -> str:
        """Each head as many times, one after the other."""
        if times == 1:
            return x
        batch, count, length, size = shape
        apart = self.reshape(x, [batch, count, 1, length, size])
        together = self.op("Concat", *[apart] * times, axis=2)
        return self.reshape(together, [batch, count * times, length, size])


def attention(
    node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto], domain: str
) -> onnx.FunctionProto | None:
    """softmax(Q K^T scale + mask) V.

    None where shapes are not known, or a cache of keys or the scores themselves are asked for.
    """
    names = ["q", "k", "v", "mask"][: len(node.input)]
    told = [types.get(name, onnx.TypeProto()).tensor_type for name in node.input]
    shapes = [[dim.dim_value for dim in one.shape.dim] for one in told]
    if len(node.input) > 4 or len(node.output) > 1 or not all(s and all(s) for s in shapes[:3]):
        return None
    body = _Body(np.dtype(numpy_dtype(dtype_name(told[0].elem_type))))
    counts = [int(str(attribute(node, f"{name}_num_heads", 1))) for name in ("q", "kv", "kv")]
    parts = [
        body.heads(name, shape, count)
        for name, shape, count in zip(names[:3], shapes[:3], counts, strict=True)
    ]
    (q, (batch, count, length, size)), (k, of_keys), (v, of_values) = parts
    times = count // of_keys[1]
    k, v = body.repeated(k, of_keys, times), body.repeated(v, of_values, times)
    scores = body.op("MatMul", q, body.op("Transpose", k, perm=[0, 1, 3, 2]))
    scale = float(str(attribute(node, "scale", 0.0))) or size**-0.5
    scores = body.op("Mul", scores, body.numbers(scale))
    if len(names) == 4:
        scores = body.op("Add", scores, _bias(body, told[3].elem_type))
    if attribute(node, "is_causal", 0):
        allowed = np.tril(np.ones((length, of_keys[2]), bool))
        scores = body.op("Add", scores, body.numbers(np.where(allowed, 0, _MASKED)))
    if cap := float(str(attribute(node, "softcap", 0.0))):
        bent = body.op("Tanh", body.op("Div", scores, body.numbers(cap)))
        scores = body.op("Mul", bent, body.numbers(cap))
    made = body.op("MatMul", body.op("Softmax", scores, axis=-1), v)
    if len(shapes[0]) == 3:
        back = body.op("Transpose", made, perm=[0, 2, 1, 3])
        made = body.reshape(back, [batch, length, count * of_values[3]])
    body.nodes.append(helper.make_node("Identity", [made], ["y"]))
    return helper.make_function(domain, "Attention", names, ["y"], body.nodes, [])


def _bias(body: _Body, kind: int) -> str:
    """What the mask adds: it may say which scores count."""
    if kind != onnx.TensorProto.BOOL:
        return "mask"
    return body.op("Where", "mask", body.numbers(0), body.numbers(_MASKED))
