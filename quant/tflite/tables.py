"""The tables of a TFLite file, known to fit each other before anything relies on them.

FlatBuffers' own verifier knows that every table lies inside the file. It doesn't know that an
index names a tensor, that a buffer has the bytes of its shape, or that a shape has no billions of
elements: a file made by hand may say anything, and LiteRT looks only at some of it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from quant.fault import Fault
from quant.graph.side_files import LARGEST_BYTES

_MADE_AGAIN = "copy it again from where it was made, or convert the network again"
# What Python raises where a table is not what the code after `require_sound` takes it for.
_CONTRADICTIONS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    struct.error,
)


@contextmanager
def told(what: str) -> Iterator[None]:
    """Tell a table that isn't what the code took it for as a Fault, with Python's own words."""
    try:
        yield
    except Fault:
        raise
    except _CONTRADICTIONS as error:
        raise Fault(
            f"{what}: its tables contradict each other ({type(error).__name__}: {error})",
            f"{_MADE_AGAIN}; if TFLite's own programs run it, please report this file",
        ) from error


def unpack(raw: bytes, name: str) -> Any:
    """The file's tables as schema.ModelT. Raises Fault where they don't fit the file."""
    damaged = Fault(f"{name}: the TFLite file is damaged or cut short", _MADE_AGAIN)
    try:
        for total in accumulate(_counts(schema.Model.GetRootAs(raw))):
            if total > len(raw) // 4:  # an offset takes 4 bytes: tables are named again and again
                raise damaged
        return schema.ModelT.InitFromPackedBuf(raw, 0)
    except _CONTRADICTIONS as error:
        raise damaged from error


def _counts(model: Any) -> Iterator[int]:
    """Lengths of all vectors of tables, which are unpacked one by one."""
    yield from (model.BuffersLength(), model.OperatorCodesLength(), model.MetadataLength())
    for signature in map(model.SignatureDefs, range(model.SignatureDefsLength())):
        yield from (1, signature.InputsLength(), signature.OutputsLength())
    for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
        yield from (1, graph.TensorsLength(), graph.OperatorsLength())
        for tensor in map(graph.Tensors, range(graph.TensorsLength())):
            sparsity = tensor.Sparsity()
            yield 0 if sparsity is None else sparsity.DimMetadataLength()


def require_sound(model: Any, size_bytes: int, name: str) -> None:
    """Raise Fault unless every index, shape and buffer of the first subgraph can be what it says.

    model: schema.ModelT. size_bytes: of the file.
    """
    said = next(_faults(model, size_bytes), None)
    if said is not None:
        raise Fault(f"{name}: the file's tables contradict each other: {said}", _MADE_AGAIN)


def _faults(model: Any, size_bytes: int) -> Iterator[str]:
    graph = model.subgraphs[0]
    tensors, codes = len(graph.tensors or ()), len(model.operatorCodes or ())
    for index, tensor in enumerate(graph.tensors or ()):
        for said in _of_tensor(tensor, model.buffers or [], size_bytes):
            yield f"tensor {index} `{_text(tensor.name)}` {said}"
    for index, op in enumerate(graph.operators):
        if not 0 <= op.opcodeIndex < codes:
            yield f"operator {index} has the code {op.opcodeIndex} of {codes}"
        for noun, given, least in (("input", op.inputs, -1), ("output", op.outputs, 0)):
            for said in _outside(given, least, tensors):
                yield f"operator {index} has {said} as {noun}"
        if not _numbers(op.outputs):
            yield f"operator {index} has no output"
    for noun, given in (("input", graph.inputs), ("output", graph.outputs)):
        for said in _outside(given, 0, tensors):
            yield f"the network has {said} as {noun}"
    if not _numbers(graph.outputs):
        yield "the network has no outputs"
    for signature in model.signatureDefs or ():
        for entry in (*(signature.inputs or ()), *(signature.outputs or ())):
            if signature.subgraphIndex == 0 and entry.tensorIndex >= tensors:
                yield f"a signature has tensor {entry.tensorIndex} of {tensors}"
    yield from _written_twice(graph)


def _of_tensor(tensor: Any, buffers: Any, size_bytes: int) -> Iterator[str]:
    shape, signature = _numbers(tensor.shape), _numbers(tensor.shapeSignature)
    if not 0 <= tensor.buffer < len(buffers):
        yield f"has the buffer {tensor.buffer} of {len(buffers)}"
        return
    if min(shape, default=0) < 0 or min(signature, default=0) < -1:
        yield f"has the shape {shape or signature}"
    elif signature and len(signature) != len(shape):
        yield f"has the shape {shape} and the signature {signature}"
    # 16 bytes: the largest element, complex128. No toolkit reads a network above 2 GiB.
    elif math.prod(shape) > LARGEST_BYTES // 4:
        yield f"has the shape {shape}, of {math.prod(shape):,} elements"
    buffer = buffers[tensor.buffer]
    if buffer.size and buffer.offset + buffer.size > size_bytes:
        yield f"has its data at {buffer.offset + buffer.size:,}, behind the end"


def require_fit(held: int, dtype: np.dtype[Any], shape: tuple[int, ...], what: str) -> None:
    """Raise Fault unless a buffer of `held` bytes is an array of that type and shape."""
    needed = math.prod(shape) * dtype.itemsize
    if held != needed:
        raise Fault(
            f"{what} has {held:,} bytes of data, its shape {list(shape)} takes {needed:,}",
            _MADE_AGAIN,
        )


def _outside(given: Any, least: int, tensors: int) -> Iterator[str]:
    for index in _numbers(given):
        if not least <= index < tensors:
            yield f"tensor {index} of {tensors}"


def _written_twice(graph: Any) -> Iterator[str]:
    written: set[int] = set()
    for index, op in enumerate(graph.operators):
        for tensor in _numbers(op.outputs):
            if tensor in written:
                yield f"operator {index} writes tensor {tensor}, which another one wrote"
            written.add(tensor)


def _numbers(vector: Any) -> list[int]:
    return [] if vector is None else [int(number) for number in vector]


def _text(name: bytes | None) -> str:
    return (name or b"").decode("utf-8", "replace")
