"""Where the parts of an .rknn stand: its FlatBuffer, its lists of commands, its constants.

Version 6: the FlatBuffer stands at 64 and names each tensor's data itself (blobs).
Version 0x1004 (rv1103, rv1106, their b forms, rk2118): at 64 stand six u32: bytes of the
FlatBuffer, of the tasks, number of tasks (40 bytes each; zeros fill to 64), bytes of the commands,
of working memory, and of constants. From 128 tasks, commands, the constants that the compiler made
last (not counted at 64), constants, FlatBuffer. A tensor's fields 8 and 9 are its data's length and
place: in the working memory, among the constants, which follow each other, or among the last ones,
which have kind 8 and start again from 0.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from quant.rknn.commands import TASK
from quant.rknn.flatbuffer import Bytes, Damaged, Table, number

HEADER_BYTES = 64
VERSION_6, VERSION_1004 = 6, 0x1004
CONTAINERS = {VERSION_6: "rknn 6", VERSION_1004: "rknn 0x1004"}
INPUT, OUTPUT, FEATURE, CONSTANT, CONSTANT_TOO, HIDDEN, COMMANDS, TASKS = 1, 2, 3, 4, 5, 8, 9, 10
BETWEEN = (INPUT, OUTPUT, FEATURE)  # kinds of tensors without data in the file
_SIZES = struct.Struct("<6I")
_DATA = HEADER_BYTES + 64

Place = tuple[int, int]
"""Where data starts, and its bytes."""


class BlobParts(NamedTuple):
    """Version 6. blobs: where the data of each tensor's field 18 stands."""

    flatbuffer: int
    blobs: list[Place]

    @property
    def header(self) -> Place:
        return 0, HEADER_BYTES

    def places(self, tensors: Sequence[Table]) -> list[Place]:
        """Where the data of a subgraph's tensors stands; 0 bytes for those without."""
        return [self._place(tensor) for tensor in tensors]

    def _place(self, tensor: Table) -> Place:
        blob = tensor.scalar(18)
        if blob and blob >= len(self.blobs):
            raise Damaged(f"the tensor at {tensor.place} has blob {blob} of {len(self.blobs)}")
        return self.blobs[blob] if blob else (0, 0)


class ListParts(NamedTuple):
    """Version 0x1004. constants, hidden: all of a kind; tasks without what fills them to 64."""

    flatbuffer: int
    tasks: Place
    commands: Place
    constants: Place
    hidden: Place

    @property
    def header(self) -> Place:
        return 0, _DATA

    def places(self, tensors: Sequence[Table]) -> list[Place]:
        """Where the data of a subgraph's tensors stands; 0 bytes for those without."""
        found, ends, is_last = [], 0, False
        for tensor in tensors:
            kind, offset, length = tensor.scalar(2, "<B"), tensor.scalar(9), tensor.scalar(8)
            if kind in (COMMANDS, TASKS):
                found.append(self.commands if kind == COMMANDS else self.tasks)
            elif kind in BETWEEN or not length:
                found.append((0, 0))
            else:
                is_last = is_last or (kind == HIDDEN and (offset != ends or not self.constants[1]))
                start, room = self.hidden if is_last and kind == HIDDEN else self.constants
                ends = max(ends, offset + length) if start == self.constants[0] else ends
                if offset + length > room:
                    raise Damaged(
                        f"the tensor at {tensor.place} ends at {offset + length} of {room} bytes "
                        "of constants"
                    )
                found.append((start + offset, length))
        return found


def find(data: Bytes, version: int, trailer: int) -> BlobParts | ListParts:
    """trailer: where everything up to the JSON ends. Raises Damaged."""
    return _blobs(data, trailer) if version == VERSION_6 else _lists(data, trailer)


def _blobs(data: Bytes, trailer: int) -> BlobParts:
    flatbuffer = data.find(b"RKNN", 8, trailer) - 4
    if flatbuffer < 0:
        raise Damaged("it has no FlatBuffer with the identifier `RKNN`")
    blobs = Table.root(data, flatbuffer).tables(20)
    return BlobParts(flatbuffer, [blob.vector(0) for blob in blobs])


def _lists(data: Bytes, trailer: int) -> ListParts:
    number(data, _DATA - 1, "<B")
    flatbuffer_bytes, task_bytes, tasks, command_bytes, _, constant_bytes = _SIZES.unpack_from(
        data, HEADER_BYTES
    )
    commands = _DATA + task_bytes
    hidden = commands + command_bytes
    flatbuffer = trailer - flatbuffer_bytes
    constants = flatbuffer - constant_bytes
    if tasks * TASK.size > task_bytes or constants < hidden:
        least = hidden + constant_bytes + flatbuffer_bytes
        raise Damaged(f"its parts take {least} bytes, its JSON starts at {trailer}")
    if data[flatbuffer + 4 : flatbuffer + 8] != b"RKNN":
        raise Damaged(f"no FlatBuffer with the identifier `RKNN` stands at {flatbuffer}")
    return ListParts(
        flatbuffer=flatbuffer,
        tasks=(_DATA, tasks * TASK.size),
        commands=(commands, command_bytes),
        constants=(constants, constant_bytes),
        hidden=(hidden, constants - hidden),
    )
