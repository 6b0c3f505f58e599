"""What a compiled .rknn file holds: operators, tensors, their data, and where each byte stands.

Nobody publishes the layout; this was measured with 2.2.0, 2.3.2 and 2.5.0. `RKNN`, four bytes 0,
u64 version, u64 length of what follows up to the JSON; at 64 a FlatBuffer (file identifier `RKNN`);
at 64 + that length a u64 and so many bytes of JSON, which names inputs and outputs in the order of
the network's own (the operators `OutputOperator` stand in another).
Root field 2: subgraphs; 20: blobs, whose field 0 is data. Of a subgraph 0: tensors; 1: operators.
Of a tensor 0: dtype, 2: kind, 3: shape as stored (the NPU's blocks), 4: shape, 5: name, 18: blob.
Of an operator 1: type, 2: name, 3: target, 4 and 5: indices of its inputs and outputs. Operators
stand in the order of the log's layer table.
Where data stands differs by version: see quant.rknn.parts.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from quant.fault import Fault
from quant.rknn.flatbuffer import Bytes, Damaged, Table, number
from quant.rknn.parts import CONTAINERS, HEADER_BYTES, VERSION_6, BlobParts, ListParts, Place, find

_CHUNK = 1 << 20
DTYPES = {
    1: "FLOAT", 2: "UINT8", 3: "INT8", 5: "INT16", 6: "INT32", 7: "INT64", 9: "BOOL",
    10: "FLOAT16",
}  # fmt: skip
# An operator's tensor that is not there: an LSTM's `Y` that nobody reads, an optional input.
_ABSENT = -1


class Operator(NamedTuple):
    """One compiled layer. name is the log's FullName; inputs include constants.

    Inputs that are left out, and outputs that nobody reads, are not among them.
    """

    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Tensor(NamedTuple):
    """kind: one of the constants above. stored_shape: in the NPU's blocks, with their padding.

    offset, size_bytes: where its data stands in the file; 0 bytes where it has none.
    """

    name: str
    kind: int
    dtype: str
    shape: tuple[int, ...]
    stored_shape: tuple[int, ...]
    offset: int
    size_bytes: int


class RknnFile(NamedTuple):
    """graphs, tensors: of each subgraph (dynamic_input has several). data: the whole file.

    inputs, outputs: names in the order of the network that was loaded.
    root: of the FlatBuffer. parts: where that and the data stand; trailer: where the u64 before the
    JSON does.
    """

    name: str
    data: Bytes
    version: int
    root: Table
    parts: BlobParts | ListParts
    trailer: int
    end: int
    graphs: tuple[tuple[Operator, ...], ...]
    tensors: tuple[tuple[Tensor, ...], ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def container(self) -> str:
        return CONTAINERS[self.version]

    def zero_bytes(self, tensor: Tensor) -> int:
        """How many bytes of a tensor's data are 0."""
        end = tensor.offset + tensor.size_bytes
        starts = range(tensor.offset, end, _CHUNK)
        found = sum(self.data[one : min(one + _CHUNK, end)].count(0) for one in starts)
        if isinstance(self.data, mmap.mmap) and tensor.size_bytes >= _CHUNK:
            self.data.madvise(mmap.MADV_DONTNEED)  # what was counted need not stay in memory
        return found


def read(path: Path) -> RknnFile:
    """Raises Fault on a file that is none, or is truncated or damaged."""
    return parse(path.read_bytes(), path.name)


def read_mapped(path: Path) -> RknnFile:
    """`read` that keeps no copy of a large file in memory. The file must not change meanwhile."""
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return parse(b"", path.name)
        return parse(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), path.name)


def parse(data: Bytes, name: str) -> RknnFile:
    """`read` for bytes; name: what messages call the file."""
    if data[:4] != b"RKNN":
        raise _foreign(data, name)
    try:
        return _parse(data, name)
    except Damaged as damage:
        raise damaged(name, len(data), damage) from None


def _foreign(data: Bytes, name: str) -> Fault:
    if data[:4] == b"RKNX":
        return Fault(f"`{name}` is for RKNPU3", "npumake reads files of rknn-toolkit2")
    return Fault(
        f"`{name}` is no .rknn file: it does not start with `RKNN`",
        "an encrypted one does not either: name the file that was encrypted, or build it again",
    )


def _unknown(name: str, version: int) -> Fault:
    if version < VERSION_6:  # 2 is what the vendor's examples of SDK 1.3.4 and 1.4.1 have
        return Fault(
            f"`{name}` is an .rknn of version {version:#x}, which an SDK before 1.5 wrote",
            "build the model again with a later SDK, or look at it with the one that wrote it",
        )
    known = ", ".join(CONTAINERS.values())
    return Fault(
        f"`{name}` is an .rknn of version {version:#x}, which is not known", f"known: {known}"
    )


def damaged(name: str, length: int, damage: Damaged) -> Fault:
    """What to tell of a file of `length` bytes."""
    return Fault(
        f"`{name}` ({length:,} bytes) is truncated or damaged: {damage}",
        "copy the file again, or build the model again",
    )


def _parse(data: Bytes, name: str) -> RknnFile:
    version = number(data, 8, "<Q")
    if version not in CONTAINERS:
        raise _unknown(name, version)
    trailer = HEADER_BYTES + number(data, 16, "<Q")
    end = trailer + 8 + number(data, trailer, "<Q")
    if end > len(data):
        raise Damaged(f"its JSON at {trailer + 8} should end at {end}")
    told = _told(data[trailer + 8 : end], trailer + 8)
    parts = find(data, version, trailer)
    graphs, tensors = [], []
    root = Table.root(data, parts.flatbuffer)
    for subgraph in root.tables(2):
        held = subgraph.tables(0)
        tensors.append(tuple(map(_tensor, held, parts.places(held))))
        names = [tensor.name for tensor in tensors[-1]]
        graphs.append(tuple(_operator(table, names) for table in subgraph.tables(1)))
    return RknnFile(
        name=name,
        data=data,
        version=version,
        root=root,
        parts=parts,
        trailer=trailer,
        end=end,
        graphs=tuple(graphs),
        tensors=tuple(tensors),
        inputs=_ends(told, "input", trailer),
        outputs=_ends(told, "output", trailer),
    )


def _told(text: bytes, place: int) -> Mapping[str, Any]:
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Damaged(f"the {len(text)} bytes at {place} are no JSON object")
    return told


def _ends(told: Mapping[str, Any], side: str, place: int) -> tuple[str, ...]:
    """Names of the inputs or the outputs."""
    try:
        names = {tensor["tensor_id"]: tensor["url"] for tensor in told["norm_tensor"]}
        ends = [end for end in told["graph"] if end["left"] == side]
        ends.sort(key=lambda end: int(end["left_tensor_id"]))
        return tuple(str(names[end["right_tensor_id"]]) for end in ends)
    except (KeyError, TypeError, ValueError):
        raise Damaged(f"the JSON at {place + 8} does not name the {side}s") from None


def _tensor(table: Table, place: Place) -> Tensor:
    offset, length = place
    code = table.scalar(0, "<B")
    return Tensor(
        name=table.text(5),
        kind=table.scalar(2, "<B"),
        dtype=DTYPES.get(code, f"type {code}"),
        shape=table.numbers(4),
        stored_shape=table.numbers(3),
        offset=offset,
        size_bytes=length,
    )


def _operator(table: Table, tensors: list[str]) -> Operator:
    return Operator(
        op_type=table.text(1),
        name=table.text(2),
        inputs=_named(table, 4, tensors),
        outputs=_named(table, 5, tensors),
    )


def _named(table: Table, index: int, tensors: list[str]) -> tuple[str, ...]:
    numbers = [one for one in table.numbers(index) if one != _ABSENT]
    wrong = [one for one in numbers if not 0 <= one < len(tensors)]
    if wrong:
        raise Damaged(f"the operator at {table.place} has tensor {wrong[0]} of {len(tensors)}")
    return tuple(tensors[one] for one in numbers)
