"""The constant tensors of an ONNX graph, and whether they hold what their shapes say."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper

from quant.fault import Fault

# Bits of the types that numpy lacks. Source: onnx.proto, TensorProto.raw_data.
_BITS: dict[int, int] = {
    onnx.TensorProto.BFLOAT16: 16,
    onnx.TensorProto.FLOAT8E4M3FN: 8,
    onnx.TensorProto.FLOAT8E4M3FNUZ: 8,
    onnx.TensorProto.FLOAT8E5M2: 8,
    onnx.TensorProto.FLOAT8E5M2FNUZ: 8,
    onnx.TensorProto.UINT4: 4,
    onnx.TensorProto.INT4: 4,
}
# Numbers of a typed field that one element takes, where not one: real and imaginary part.
_PARTS: dict[int, int] = {onnx.TensorProto.COMPLEX64: 2, onnx.TensorProto.COMPLEX128: 2}
_TYPED = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every constant tensor of a graph: initializers and attributes, subgraphs included."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from tensors(inner)


def raw_bytes(tensor: onnx.TensorProto) -> int | None:
    """Bytes that the tensor's type and shape take; None for text and what can't be a tensor."""
    bits = _bits(tensor.data_type)
    if bits is None or min(tensor.dims, default=0) < 0:
        return None
    count: int = math.prod(tensor.dims)
    return (count * bits + 7) // 8


def require_whole(model: onnx.ModelProto) -> None:
    """Raise Fault naming a tensor whose data has not the length of its type and shape.

    onnx's checker and shape inference read some of them without asking. Tensors in side files are
    left out: quant.graph.side_files counts them.
    """
    for tensor in tensors(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL and not _is_whole(tensor):
            held = len(tensor.raw_data) or sum(len(getattr(tensor, name)) for name in _TYPED)
            unit = "bytes" if tensor.raw_data else "numbers"
            raise Fault(
                f"the tensor `{tensor.name}` of type {tensor.data_type} and shape "
                f"{list(tensor.dims)} holds {held} {unit}",
                "the file is damaged, or what wrote it is; export the model again",
            )


def _is_whole(tensor: onnx.TensorProto) -> bool:
    needed, count = raw_bytes(tensor), math.prod(tensor.dims)
    if tensor.data_type == onnx.TensorProto.STRING:
        return min(tensor.dims, default=0) >= 0 and len(tensor.string_data) == count
    if needed is None:
        return False
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data) == needed
    lengths = [len(getattr(tensor, name)) for name in _TYPED if len(getattr(tensor, name))]
    halved = [needed] if _BITS.get(tensor.data_type) == 4 else []  # two elements a number
    return lengths in ([[]] if count == 0 else [[count * _PARTS.get(tensor.data_type, 1)], halved])


def _bits(type_: int) -> int | None:
    """Bits an element; None for text and types that onnx doesn't know."""
    if type_ in _BITS:
        return _BITS[type_]
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(type_))
    except KeyError:
        return None
    return None if dtype.kind == "O" else 8 * int(dtype.itemsize)
