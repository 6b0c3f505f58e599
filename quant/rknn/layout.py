"""Which bytes of an .rknn are what, outside the tensors' data.

The FlatBuffer is walked by the fields that were found in it, and what no field leads to stays
unexplained: at most the lists whose element is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from quant.rknn.file import RknnFile, damaged
from quant.rknn.flatbuffer import Bytes, Damaged, Table, number
from quant.rknn.parts import VERSION_6, VERSION_1004

# FlatBuffers align tables and lists to at most 8 bytes; blobs stand at multiples of 64.
LARGEST_PADDING = 63
_ZEROS = bytes(LARGEST_PADDING)

Form: TypeAlias = "int | Many | One | Chosen"
"""Bytes of an element of a list, 0 for text, or what stands in tables."""


Owner: TypeAlias = "tuple[str, int | str]"
"""The operator ("operator", its index) or tensor ("tensor", name) of a subgraph that bytes
describe."""


class Span(NamedTuple):
    """Bytes start to end. what: metadata, alignment or unexplained. graph: a subgraph."""

    start: int
    end: int
    what: str
    graph: int = 0
    owner: Owner | None = None


class Many(NamedTuple):
    """A list of tables. owner: what an element describes."""

    fields: Mapping[int, Form]
    owner: str = ""


class One(NamedTuple):
    """A single table."""

    fields: Mapping[int, Form]


class Chosen(NamedTuple):
    """A single table whose fields go by the byte in field `by`."""

    by: int
    fields: Mapping[int, Mapping[int, Form]]


TEXT, DATA = 0, -1
# Scales, of 4 bytes each, and the tensor's largest and smallest values in two lists behind them, as
# long as the scales, that no field leads to.
RANGES = -2
TENSOR = {
    3: 4, 4: 4, 5: TEXT, 6: TEXT, 7: TEXT, 8: 4, 9: 4, 10: 4, 11: 4, 15: 4, 16: 4, 17: 4, 19: 4,
    20: 4,
}  # fmt: skip
# Attributes of convolution, split and transpose; those of other operators hold no lists.
ATTRIBUTES: Mapping[int, Mapping[int, Form]] = {
    1: {0: TEXT, 1: 4, 3: 4, 4: 4, 5: 4}, 20: {1: 4}, 25: {0: 4},
}  # fmt: skip
OPERATOR: Mapping[int, Form] = {
    1: TEXT, 2: TEXT, 4: 4, 5: 4, 8: Chosen(7, ATTRIBUTES), 9: 1, 10: 4, 11: 4, 12: 4,
}  # fmt: skip
# Where the commands hold a tensor's address: name, places, and how each is to be set.
PATCHES: Mapping[int, Form] = {0: TEXT, 1: 8, 2: 8}
# Of an input: deviations, means and channels.
NORMALIZING: Mapping[int, Form] = {0: 4, 1: 4, 2: 4}
SHAPES: Mapping[int, Form] = {0: TEXT, 1: Many({})}
SUBGRAPH: Mapping[int, Form] = {
    0: Many(TENSOR, "tensor"), 1: Many(OPERATOR, "operator"), 2: 4, 3: 4, 4: Many(NORMALIZING),
    6: 4, 7: Many(PATCHES, "patches"), 8: Many(SHAPES), 9: Many(SHAPES), 10: 4, 12: Many({0: TEXT}),
    13: 4, 14: 4, 15: 4, 16: 4,
}  # fmt: skip
ROOT: Mapping[int, Form] = {
    1: TEXT, 2: Many(SUBGRAPH, "subgraph"), 3: TEXT, 7: TEXT, 8: TEXT, 9: TEXT, 11: 4, 12: TEXT,
    13: TEXT, 14: TEXT, 15: TEXT, 16: TEXT, 17: TEXT, 18: 4, 19: One({}), 20: Many({0: DATA}),
    21: 4,
}  # fmt: skip

SUBGRAPH_1004: Mapping[int, Form] = {
    0: Many({3: 4, 4: 4, 5: TEXT, 6: RANGES, 7: 4, 12: 4}, "tensor"),
    1: Many({1: TEXT, 2: TEXT, 4: 4, 5: 4, 8: 1, 9: 1, 10: 4, 11: 4, 12: One({})}, "operator"),
    2: 4, 3: 4, 4: Many(NORMALIZING), 5: Many(PATCHES, "patches"), 6: Many(SHAPES), 7: Many(SHAPES),
}  # fmt: skip
ROOT_1004: Mapping[int, Form] = {
    1: TEXT, 2: Many(SUBGRAPH_1004, "subgraph"), 3: TEXT, 5: TEXT, 6: TEXT, 7: TEXT, 8: TEXT,
}  # fmt: skip
_UNKNOWN: Mapping[int, Form] = {}
FORMS = {VERSION_6: ROOT, VERSION_1004: ROOT_1004}


_START, _END = itemgetter(0), itemgetter(1)


def spans(file: RknnFile) -> list[Span]:
    """The whole file but the tensors' data, in order. Raises Fault as rknn_file.read does."""
    try:
        return _spans(file)
    except Damaged as damage:
        raise damaged(file.name, len(file.data), damage) from None


def _spans(file: RknnFile) -> list[Span]:
    start, length = file.parts.header
    found = [
        Span(start, length, "metadata"),
        Span(file.trailer, file.end, "metadata"),
        Span(file.parts.flatbuffer, file.parts.flatbuffer + 8, "metadata"),
    ]
    _Walk(found).table(file.root, FORMS[file.version], Span(0, 0, "metadata"))
    found.sort(key=_END, reverse=True)
    found.sort(key=_START)  # the longer of two with one start stays the first
    kept = _without_overlaps(found)
    return sorted([*kept, *_between(file, kept)], key=_START)


class _Walk:
    """Adds what all tables take to `found`; vtables that several share are found once."""

    def __init__(self, found: list[Span]) -> None:
        self._found = found
        self._seen: set[int] = set()
        self._lists: dict[int, dict[int, int]] = {}

    def table(self, table: Table, fields: Mapping[int, Form], owned: Span) -> None:
        vtable, length = table.vtable
        self._add(owned, table.place, table.place + table.size_bytes)
        if vtable not in self._seen:
            self._seen.add(vtable)
            self._add(owned, vtable, vtable + length)
        first = end = 0
        for start, count, width in table.vectors(self._lists_of(fields)):
            held = count * width if width > 0 else _held(table.data, start, count, width)
            last = start + held
            if last != first:  # most lists stand before the one before: all are one part
                self._add(owned, first, end)
                end = last
            first = start - 4
        self._add(owned, first, end)
        for index, form in fields.items():
            if not isinstance(form, int):
                self._tables(table, index, form, owned)

    def _lists_of(self, fields: Mapping[int, Form]) -> dict[int, int]:
        """Those of the fields that are lists."""
        if id(fields) not in self._lists:
            held = {index: form for index, form in fields.items() if isinstance(form, int)}
            self._lists[id(fields)] = held
        return self._lists[id(fields)]

    def _tables(self, table: Table, index: int, form: Many | One | Chosen, owned: Span) -> None:
        if table.field(index) is None:
            return
        if not isinstance(form, Many):
            inner = table.table(index)
            if inner:
                self.table(inner, _fields(table, form), owned)
            return
        start, count = table.vector(index, 4)
        self._add(owned, start - 4, start + 4 * count)
        for i, inner in enumerate(table.tables(index)):
            self.table(inner, form.fields, _owned(form.owner, i, inner, owned))

    def _add(self, owned: Span, start: int, end: int) -> None:
        if start < end:
            _, _, what, graph, owner = owned
            # As Span(...), in half the time: a file may have tens of thousands.
            self._found.append(tuple.__new__(Span, (start, end, what, graph, owner)))


def _held(data: Bytes, start: int, count: int, form: int) -> int:
    """Bytes of a list of a form that is no width, without its count."""
    if form == RANGES:
        return _ranges(data, start, count)
    return count + 1 if form == TEXT and count else 0


def _ranges(data: Bytes, start: int, count: int) -> int:
    """Bytes from the first scale to the end of the last list."""
    length = 4 * count
    for _ in range(2 if count else 0):
        if number(data, start + length) == count:
            length += 4 + 4 * count
    return length


def _fields(table: Table, form: One | Chosen) -> Mapping[int, Form]:
    if isinstance(form, One):
        return form.fields
    return form.fields.get(table.scalar(form.by, "<B"), _UNKNOWN)


def _owned(owner: str, index: int, table: Table, outer: Span) -> Span:
    if owner == "subgraph":
        return Span(0, 0, "metadata", index)
    if owner == "operator":
        return Span(0, 0, "metadata", outer.graph, ("operator", index))
    if owner in ("tensor", "patches"):
        name = table.text(5 if owner == "tensor" else 0)
        return Span(0, 0, "metadata", outer.graph, ("tensor", name))
    return outer


def _without_overlaps(found: list[Span]) -> list[Span]:
    """Each byte is the first part's that has it: empty lists may share a place."""
    kept: list[Span] = []
    place = 0
    for span in found:
        start, end = span[:2]
        if end > place:
            kept.append(span if start >= place else span._replace(start=place))
            place = end
    return kept


def _between(file: RknnFile, kept: list[Span]) -> Iterator[Span]:
    """What lies between the parts and the tensors' data."""
    held = {(t.offset, t.offset + t.size_bytes) for ts in file.tensors for t in ts if t.size_bytes}
    data, size = file.data, len(file.data)
    taken = [*kept, *(Span(*one, "data") for one in sorted(held)), Span(size, size, "end")]
    place = 0
    for start, end, *_ in sorted(taken, key=_START):
        if start < place:
            raise Damaged(f"two parts share the bytes from {start} to {min(place, end)}")
        if start > place:
            length = start - place
            is_padding = length <= LARGEST_PADDING and data[place:start] == _ZEROS[:length]
            yield Span(place, start, "alignment" if is_padding else "unexplained")
        if end > place:
            place = end
