"""How a TFLite file is quantized, from its tables alone: the SDK's environment has no reader.

Fields by their number in the public schema: Model.subgraphs 2, buffers 4; SubGraph.tensors 0;
Tensor.type 1, buffer 2; Buffer.data 0.
"""

from __future__ import annotations

from pathlib import Path

from quant.rknn.flatbuffer import Damaged, Table

FLOAT, INT8, WIDE, DYNAMIC = "float", "int8", "16x8", "dynamic range"
NARROW = "weights of less than 8 bits"  # and of float activations
_INT8, _UINT8, _INT16 = 9, 3, 7
_NARROW = {17, 19, 20}  # INT4, INT2, UINT4


def form(file: Path) -> str:
    """FLOAT too where the file can't be read: the SDK says what is wrong with it."""
    try:
        activations, weights = _types(file.read_bytes())
    except Damaged:
        return FLOAT
    if _INT16 in activations:
        return WIDE
    if activations & {_INT8, _UINT8}:
        return INT8
    if weights & _NARROW:
        return NARROW
    return DYNAMIC if weights & {_INT8, _UINT8} else FLOAT


def _types(data: bytes) -> tuple[set[int], set[int]]:
    """Element types of what is computed, and of constants."""
    model = Table.root(data, 0)
    held = [buffer.vector(0)[1] > 0 for buffer in model.tables(4)]
    activations, weights = set[int](), set[int]()
    for graph in model.tables(2):
        for tensor in graph.tables(0):
            buffer = tensor.scalar(2)
            is_constant = buffer < len(held) and held[buffer]
            (weights if is_constant else activations).add(tensor.scalar(1, "<B"))
    return activations, weights
