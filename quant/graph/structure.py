"""An ONNX file's graph without the numbers of its large weights, which are not even read.

They are nearly all of a large network's file, and of the time that reading it takes.
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import onnx

from quant.graph.light import LARGE

# Fields of ModelProto, of GraphProto and of TensorProto: graph, initializer, float_data, raw_data.
_WAY = ((7,), (5,), (4, 9))
_LENGTHS = {1: 8, 5: 4}  # bytes of a value by its wire type
_VARINT, _COUNTED = 0, 2  # wire types


def structure(path: Path) -> onnx.ModelProto:
    """The model; weights of 64 KiB and more have a name, a type and dims alone.

    Raises google.protobuf's DecodeError on what is no ONNX.
    """
    if not path.stat().st_size:  # which mmap refuses
        return onnx.ModelProto()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            kept = _kept(data, 0, len(data), _WAY)
        except (IndexError, ValueError):  # protobuf tells what is wrong
            kept = data[:]
    return onnx.load_model_from_string(kept)


def _kept(data: mmap.mmap, start: int, end: int, way: Sequence[Collection[int]]) -> bytes:
    """A message without what stands at the end of the way, where that is large."""
    parts, since = [], start
    for number, at, value, stop in _fields(data, start, end):
        if number not in way[0] or stop - value < LARGE:
            continue
        parts.append(data[since:at])
        if len(way) > 1:
            inner = _kept(data, value, stop, way[1:])
            parts += [_number(8 * number + _COUNTED), _number(len(inner)), inner]
        since = stop
    return b"".join((*parts, data[since:end]))


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, start, start of the value and end of each field. Raises ValueError, IndexError."""
    while start < end:
        tag, value = _read(data, start)
        kind = tag & 7
        if kind == _VARINT:
            stop = _read(data, value)[1]
        elif kind == _COUNTED:
            length, value = _read(data, value)
            stop = value + length
        elif kind in _LENGTHS:
            stop = value + _LENGTHS[kind]
        else:
            raise ValueError(f"wire type {kind}")
        if stop > end:
            raise ValueError("a field beyond its message")
        yield tag >> 3, start, value, stop
        start = stop


def _read(data: mmap.mmap, start: int) -> tuple[int, int]:
    """A number in sevens of bits, and where it ends."""
    number = shift = 0
    while (byte := data[start]) & 128:
        number |= (byte & 127) << shift
        start, shift = start + 1, shift + 7
    return number | byte << shift, start + 1


def _number(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes((*written, value))
