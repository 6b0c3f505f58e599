"""What a compiled .rknn file holds: operators, the tensors between them, inputs and outputs.

An .rknn holds a FlatBuffer (file identifier `RKNN`) whose layout nobody publishes; these fields
were measured (2.2.0, 2.3.2, 2.5.0): root field 2 subgraphs; of a subgraph field 0 tensors, field 1
operators; of a tensor field 5 its name; of an operator fields 1 type, 2 name, 4 and 5 the indices
of its inputs and outputs. Operators stand in the order of the log's layer table. In the container
of rv1103, rv1106 and rk2118 (version 0x1004) the FlatBuffer stands further back. Behind all that,
at 64 + the u64 at 16, follow a u64 length and JSON, which names inputs and outputs in the order of
the network's own; the operators `OutputOperator` stand in another.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class NotCompiled(ValueError):
    """A file that is no .rknn, or one whose graph isn't where it was in every version so far."""


@dataclass(frozen=True)
class Operator:
    """One compiled layer. name is the log's FullName; inputs include constants."""

    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class CompiledFile:
    """graphs: the operators of each subgraph (dynamic_input has several), in the log's order.

    inputs, outputs: names in the order of the network that was loaded.
    """

    graphs: tuple[tuple[Operator, ...], ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read(path: Path) -> CompiledFile:
    """Raises NotCompiled."""
    data = path.read_bytes()
    if not data.startswith(b"RKNN"):
        raise NotCompiled(f"{path.name} is no .rknn file: it does not start with `RKNN`")
    try:
        root = _Table.root(data, _flatbuffer(data))
        graphs = tuple(_operators(subgraph) for subgraph in root.tables(2))
        told = _trailer(data)
        return CompiledFile(graphs, _ends(told, "input"), _ends(told, "output"))
    except (struct.error, UnicodeDecodeError, IndexError, KeyError, json.JSONDecodeError) as error:
        raise NotCompiled(f"{path.name} has contents that can't be read: {error}") from None


def _trailer(data: bytes) -> dict[str, Any]:
    (start,) = struct.unpack_from("<Q", data, 16)
    (length,) = struct.unpack_from("<Q", data, 64 + start)
    told: dict[str, Any] = json.loads(data[72 + start : 72 + start + length])
    return told


def _ends(told: Mapping[str, Any], side: str) -> tuple[str, ...]:
    """Names of the inputs or the outputs."""
    names = {tensor["tensor_id"]: tensor["url"] for tensor in told["norm_tensor"]}
    ends = [end for end in told["graph"] if end["left"] == side]
    ends.sort(key=lambda end: end["left_tensor_id"])
    return tuple(names[end["right_tensor_id"]] for end in ends)


def _flatbuffer(data: bytes) -> int:
    """Where the FlatBuffer starts: four bytes before its file identifier."""
    place = data.find(b"RKNN", 8)
    if place < 0:
        raise NotCompiled("the file has no FlatBuffer with the identifier `RKNN`")
    return place - 4


def _operators(subgraph: _Table) -> tuple[Operator, ...]:
    tensors = [tensor.text(5) for tensor in subgraph.tables(0)]
    return tuple(
        Operator(
            op_type=operator.text(1),
            name=operator.text(2),
            inputs=tuple(tensors[index] for index in operator.numbers(4)),
            outputs=tuple(tensors[index] for index in operator.numbers(5)),
        )
        for operator in subgraph.tables(1)
    )


@dataclass(frozen=True)
class _Table:
    """A FlatBuffer table: `place` is its offset in `data`.

    Source: https://flatbuffers.dev/internals/ (a table starts with the distance back to its vtable,
    whose third and later u16 are the fields' offsets in the table, 0 for an absent one).
    """

    data: bytes
    place: int

    @staticmethod
    def root(data: bytes, start: int) -> _Table:
        return _Table(data, start + _u32(data, start))

    def _field(self, index: int) -> int | None:
        vtable = self.place - struct.unpack_from("<i", self.data, self.place)[0]
        length = struct.unpack_from("<H", self.data, vtable)[0]
        slot = 4 + 2 * index
        offset = struct.unpack_from("<H", self.data, vtable + slot)[0] if slot < length else 0
        return self.place + offset if offset else None

    def _vector(self, index: int) -> tuple[int, int]:
        """Place of the first element, and how many there are."""
        field = self._field(index)
        if field is None:
            return 0, 0
        start = field + _u32(self.data, field)
        return start + 4, _u32(self.data, start)

    def text(self, index: int) -> str:
        start, length = self._vector(index)
        return self.data[start : start + length].decode()

    def numbers(self, index: int) -> tuple[int, ...]:
        start, count = self._vector(index)
        return struct.unpack_from(f"<{count}i", self.data, start)

    def tables(self, index: int) -> list[_Table]:
        start, count = self._vector(index)
        places = [start + 4 * i for i in range(count)]
        return [_Table(self.data, place + _u32(self.data, place)) for place in places]


def _u32(data: bytes, place: int) -> int:
    number: int = struct.unpack_from("<I", data, place)[0]
    return number
