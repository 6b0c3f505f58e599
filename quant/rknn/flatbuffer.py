"""FlatBuffer tables of unpublished layout, read field by field.

A table starts with the distance back to its vtable, whose third and later u16 are the fields'
offsets in the table, 0 for an absent one. Source: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

Bytes: TypeAlias = "bytes | mmap.mmap"
"""Of a file: read, or mapped where it is large."""


_READERS = {form: struct.Struct(form).unpack_from for form in ("<B", "<H", "<I", "<i", "<Q")}
_u32 = _READERS["<I"]


class Damaged(ValueError):
    """A place that the buffer does not have, or contents that can't stand there."""


class Table:
    """`place` is the table's offset in `data`; every offset here is one in `data`."""

    __slots__ = ("_lists", "_offsets", "data", "place", "vtable")

    def __init__(self, data: Bytes, place: int) -> None:
        """Raises Damaged. vtable: where it stands, and its length."""
        self.data = data
        self.place = place
        start = place - number(data, place, "<i")
        length = number(data, start, "<H")
        if length < 4 or length % 2:
            raise Damaged(f"the table at {place} has a vtable of {length} bytes")
        if start + length > len(data):
            raise Damaged(f"a vtable of {length} bytes at {start} goes beyond the end, {len(data)}")
        self.vtable = start, length
        self._offsets: tuple[int, ...] = struct.unpack_from(f"<{length // 2}H", data, start)
        self._lists: dict[int, Sequence[Table]] | None = None

    @classmethod
    def root(cls, data: Bytes, start: int) -> Table:
        """The root table of a buffer that starts at `start`."""
        return cls(data, start + number(data, start))

    @property
    def size_bytes(self) -> int:
        """Length of the table itself, without what it refers to."""
        return self._offsets[1]

    def field(self, index: int) -> int | None:
        """Where a field stands, None for an absent one."""
        slot = 2 + index
        offset = self._offsets[slot] if slot < len(self._offsets) else 0
        return self.place + offset if offset else None

    def scalar(self, index: int, form: str = "<I") -> int:
        """A number; 0, FlatBuffers' default, where it is absent."""
        field = self.field(index)
        return 0 if field is None else number(self.data, field, form)

    def vector(self, index: int, width: int = 1) -> tuple[int, int]:
        """Where the first element stands, and how many there are of `width` bytes."""
        field = self.field(index)
        if field is None:
            return 0, 0
        try:  # not `number`: most of a file's reading is done here
            start = field + _u32(self.data, field)[0]
            count = _u32(self.data, start)[0]
        except struct.error:
            raise Damaged(f"the list at {field} goes beyond the end, {len(self.data)}") from None
        if start + 4 + count * width > len(self.data):
            raise Damaged(f"{count} elements at {start} go beyond the end, {len(self.data)}")
        return start + 4, count

    def vectors(self, forms: Mapping[int, int]) -> Iterator[tuple[int, int, int]]:
        """`vector` of those of several fields that are there, and what `forms` has for each: the
        width of an element, which is one byte where that is 0 or less.
        """
        data, place, offsets = self.data, self.place, self._offsets
        last, size = len(offsets) - 2, len(data)
        for index, form in forms.items():
            if index >= last or not offsets[index + 2]:
                continue
            field = place + offsets[index + 2]
            try:  # not `number`: most of a file's reading is done here
                start = field + _u32(data, field)[0]
                count = _u32(data, start)[0]
            except struct.error:
                raise Damaged(f"the list at {field} goes beyond the end, {size}") from None
            if start + 4 + count * (form if form > 0 else 1) > size:
                raise Damaged(f"{count} elements at {start} go beyond the end, {size}")
            yield start + 4, count, form

    def text(self, index: int) -> str:
        start, length = self.vector(index)
        try:
            return self.data[start : start + length].decode()
        except UnicodeDecodeError:
            raise Damaged(f"the {length} bytes at {start} are no text") from None

    def numbers(self, index: int) -> tuple[int, ...]:
        """A vector of i32."""
        start, count = self.vector(index, 4)
        return struct.unpack_from(f"<{count}i", self.data, start)

    def tables(self, index: int) -> Sequence[Table]:
        """A vector of tables, read once."""
        if self._lists is None:
            self._lists = {}
        if index not in self._lists:
            start, count = self.vector(index, 4)
            self._lists[index] = [self._at(start + 4 * i) for i in range(count)]
        return self._lists[index]

    def table(self, index: int) -> Table | None:
        """A single table."""
        field = self.field(index)
        return None if field is None else self._at(field)

    def _at(self, place: int) -> Table:
        return Table(self.data, place + number(self.data, place))


def number(data: Bytes, place: int, form: str = "<I") -> int:
    """One number in `data`. Raises Damaged where it lies outside."""
    try:
        if place >= 0:  # a lower one would be counted from the end
            found: int = _READERS[form](data, place)[0]
            return found
    except struct.error:
        pass
    raise Damaged(f"a number at {place} lies outside the {len(data)} bytes")
