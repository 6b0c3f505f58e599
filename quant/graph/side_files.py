"""Weights that an ONNX file keeps in files beside it, counted before a byte of them is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import onnx

from quant.fault import Fault
from quant.graph.tensors import raw_bytes, tensors

# protobuf refuses to serialize a message of 2 GiB or more, and in the end all is in one file.
LARGEST_BYTES = 2**31 - 1

_GET_AGAIN = "copy or download it again"
_SAVE_AGAIN = "save the model again with its weights beside it or inside it"


@dataclass(frozen=True)
class Piece:
    """Where one weight's bytes stand: `length` from `offset` on in `file`."""

    tensor: onnx.TensorProto
    file: Path
    offset: int
    length: int


def embed(model: onnx.ModelProto, folder: Path, name: str) -> int:
    """Move the data of side files in `folder` into the model. Returns for how many tensors.

    onnx.load can't do it here: it refuses symbolic links, and a job's inputs are links.
    name: what messages call the model. Raises Fault, before it reads, on files that are absent or
    outside the folder, on places that they don't have, and on more than one ONNX file can hold.
    """
    pieces = list(_pieces(model, folder, name))
    total = sum(piece.length for piece in pieces)
    if total > LARGEST_BYTES:
        files = {piece.file for piece in pieces}
        held = sum(file.stat().st_size for file in files)
        raise Fault(
            f"`{name}` has {len(pieces)} weights of {total:,} bytes in side files that hold "
            f"{held:,}, more than the {LARGEST_BYTES:,} of one ONNX file",
            "NPU toolkits read single files below 2 GiB; use a smaller network or float16 weights",
        )
    for piece in pieces:
        _fill(piece)
    return len(pieces)


def _pieces(model: onnx.ModelProto, folder: Path, name: str) -> Iterator[Piece]:
    for tensor in tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield _piece(tensor, folder, name)


def _piece(tensor: onnx.TensorProto, folder: Path, name: str) -> Piece:
    told = {entry.key: entry.value for entry in tensor.external_data}
    location, file = _located(tensor, told.get("location", ""), folder, name)
    held, offset = file.stat().st_size, _whole(tensor, told, "offset", 0)
    length = _whole(tensor, told, "length", max(held - offset, 0))
    if offset + length > held:
        raise Fault(f"`{location}` ends inside the weight `{tensor.name}`", _GET_AGAIN)
    needed = raw_bytes(tensor)
    if needed is None:
        kind = f"type {tensor.data_type} and shape {list(tensor.dims)}"
        raise Fault(f"the weight `{tensor.name}` of {kind} can't be in a side file", _SAVE_AGAIN)
    if length != needed:
        raise Fault(
            f"the weight `{tensor.name}` has {length:,} bytes in `{location}`, its shape "
            f"{list(tensor.dims)} takes {needed:,}",
            _SAVE_AGAIN,
        )
    return Piece(tensor, file, offset, length)


def _located(
    tensor: onnx.TensorProto, told: str, folder: Path, name: str
) -> tuple[PurePosixPath, Path]:
    location = PurePosixPath(told)
    if not location.name or location.is_absolute() or ".." in location.parts or "\0" in told:
        raise Fault(
            f"`{name}` keeps the weight `{tensor.name}` in `{location}`, outside its own folder",
            _SAVE_AGAIN,
        )
    if not (folder / location).is_file():
        raise Fault(
            f"`{name}` keeps the weight `{tensor.name}` in `{location}`, which is not here",
            f"add `{location}` (relative to the model's folder) to `source.dependencies`",
        )
    return location, folder / location


def _whole(tensor: onnx.TensorProto, told: dict[str, str], key: str, default: int) -> int:
    """A count that the file tells as decimal text."""
    text = told.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Fault(f"the weight `{tensor.name}` has the {key} `{text[:40]}`", _SAVE_AGAIN)
    return int(text)


def _fill(piece: Piece) -> None:
    with piece.file.open("rb") as data:
        data.seek(piece.offset)
        piece.tensor.raw_data = data.read(piece.length)
    piece.tensor.data_location = onnx.TensorProto.DEFAULT
    del piece.tensor.external_data[:]
