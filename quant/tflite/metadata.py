"""What a TFLite file's own metadata says of its tensors: how pixels are scaled, and its labels.

Source: tensorflow_lite_support/metadata/metadata_schema.fbs of tflite-support 0.4.4. The tables are
in a buffer of the model; files that they name, such as labels, are a ZIP archive behind the model.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flatbuffers import encode, packer  # type: ignore[import-untyped]
from flatbuffers.table import Table  # type: ignore[import-untyped]

from quant.fault import Fault
from quant.tflite.tables import told

_ENTRY, _IDENTIFIER = b"TFLITE_METADATA", b"M001"
_MOST_LABEL_BYTES = 1 << 20
_MOST_ITEMS = 1_000  # of a vector of tables; they may be named again and again
# Places of fields, in the order of the schema.
_SUBGRAPHS, _INPUTS, _OUTPUTS = 3, 2, 3  # of ModelMetadata, and of SubGraphMetadata
_CONTENT, _UNITS, _FILES = 3, 4, 6  # of TensorMetadata
_FILE_NAME, _FILE_TYPE = 0, 2
# Values of its enumerations.
_NORMALIZATION, _IMAGE, _AXIS_LABELS = 1, 2, 2
_COLORS = {1: "rgb", 2: "gray"}


@dataclass(frozen=True)
class TensorNotes:
    """mean, std: one number or one a channel, of (x - mean) / std; empty where it says nothing.

    color: rgb, gray or empty. labels: name of the file that names the classes, or empty.
    """

    mean: Sequence[float] = ()
    std: Sequence[float] = ()
    color: str = ""
    labels: str = ""


@dataclass(frozen=True)
class Metadata:
    """Of the first subgraph's inputs and outputs, in the graph's own order."""

    inputs: Sequence[TensorNotes] = ()
    outputs: Sequence[TensorNotes] = ()


def read_metadata(model: Any) -> Metadata:
    """model: schema.ModelT. Empty without metadata, and where its tables contradict each other:
    nothing that a network computes hangs on them.
    """
    try:
        with told("the metadata"):
            return _metadata(model)
    except Fault:
        return Metadata()


def read_labels(raw: bytes, name: str) -> list[str]:
    """Lines of a file in the archive behind the model; none where it can't be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            if archive.getinfo(name).file_size > _MOST_LABEL_BYTES:
                return []
            return archive.read(name).decode("utf-8").splitlines()
    except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, OSError, RuntimeError):
        return []


def _metadata(model: Any) -> Metadata:
    for entry in model.metadata or ():
        if bytes(entry.name or b"") != _ENTRY:
            continue
        data = model.buffers[entry.buffer].data
        raw = b"" if data is None else bytes(bytearray(data))
        if raw[4:8] != _IDENTIFIER:
            return Metadata()
        root = _Reader(Table(raw, encode.Get(packer.uoffset, raw, 0)))
        for graph in root.tables(_SUBGRAPHS):
            sides = (graph.tables(_INPUTS), graph.tables(_OUTPUTS))
            inputs, outputs = (tuple(map(_notes, side)) for side in sides)
            return Metadata(inputs, outputs)
    return Metadata()


def _notes(tensor: _Reader) -> TensorNotes:
    mean, std = _scaling(tensor)
    return TensorNotes(mean, std, _color(tensor), _labels(tensor))


def _scaling(tensor: _Reader) -> tuple[Sequence[float], Sequence[float]]:
    for unit in tensor.tables(_UNITS):
        options = unit.union(_NORMALIZATION)
        if options is not None:
            mean, std = options.floats(0), options.floats(1)
            if all(map(math.isfinite, (*mean, *std))) and all(std) and len(mean) == len(std):
                return mean, std
    return (), ()


def _color(tensor: _Reader) -> str:
    content = tensor.table(_CONTENT)
    image = None if content is None else content.union(_IMAGE)
    return "" if image is None else _COLORS.get(image.byte(0), "")


def _labels(tensor: _Reader) -> str:
    files = (file for file in tensor.tables(_FILES) if file.byte(_FILE_TYPE) == _AXIS_LABELS)
    return next((file.text(_FILE_NAME) for file in files), "")


class _Reader:
    """A FlatBuffers table's fields, by their place in the schema."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def byte(self, field: int) -> int:
        place = self._place(field)
        return self._table.Bytes[place] if place else 0

    def text(self, field: int) -> str:
        place = self._place(field)
        return self._table.String(place).decode("utf-8", "replace") if place else ""

    def floats(self, field: int) -> Sequence[float]:
        offset = self._offset(field)
        if not offset:
            return ()
        start, count = self._table.Vector(offset), self._table.VectorLen(offset)
        return tuple(np.frombuffer(self._table.Bytes, "<f4", count, start).tolist())

    def table(self, field: int) -> _Reader | None:
        place = self._place(field)
        return _Reader(Table(self._table.Bytes, self._table.Indirect(place))) if place else None

    def tables(self, field: int) -> Iterator[_Reader]:
        offset = self._offset(field)
        if not offset:
            return
        start, count = self._table.Vector(offset), self._table.VectorLen(offset)
        for number in range(min(count, _MOST_ITEMS)):
            place = self._table.Indirect(start + 4 * number)
            yield _Reader(Table(self._table.Bytes, place))

    def union(self, kind: int, field: int = 0) -> _Reader | None:
        """The table of a union whose type is `kind`; its type stands in the field before it."""
        return self.table(field + 1) if self.byte(field) == kind else None

    def _offset(self, field: int) -> int:
        return int(self._table.Offset(4 + 2 * field))

    def _place(self, field: int) -> int:
        offset = self._offset(field)
        return offset + int(self._table.Pos) if offset else 0
