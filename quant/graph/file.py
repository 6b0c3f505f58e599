"""Reading and writing ONNX files."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from quant.fault import Fault
from quant.graph.side_files import LARGEST_BYTES, embed
from quant.graph.tensors import tensors

_GET_AGAIN = "copy or download it again"
_KNOWN_STARTS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "run `git lfs pull`"),
    (b"PK\x03\x04", "a zip archive, PyTorch's or Keras's", "name it as `torchscript:` or `keras:`"),
    (b"\x89HDF", "an HDF5 file: Keras's format", "name it as `keras:`"),
    (b"<", "a web page or other XML", _GET_AGAIN),
    (b"{", "JSON text", _GET_AGAIN),
)  # fmt: skip


def read(path: Path, name: str | None = None, folder: Path | None = None) -> onnx.ModelProto:
    """Read an ONNX file and the side files that hold its weights.

    name: what messages call it. folder: where side files stand; the file's own by default.
    Raises Fault on a missing, empty, truncated or foreign file, and on absent side files.
    """
    name = name or path.name
    model = parse(path, name)
    embed(model, folder or path.parent, name)
    return model


def parse(path: Path, name: str) -> onnx.ModelProto:
    """Read an ONNX file alone: weights in side files stay there. Raises Fault as `read` does."""
    data = _bytes(path, name)
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        raise Fault(f"`{name}` is no ONNX file, or is cut short or damaged", _GET_AGAIN) from None
    if not model.HasField("graph") or not model.opset_import or not model.graph.output:
        raise Fault(
            f"`{name}` is no whole ONNX model: it has no graph, no opset or no outputs",
            f"it is cut short or something else under that name; {_GET_AGAIN}",
        )
    return model


def _bytes(path: Path, name: str) -> bytes:
    if not path.exists():
        raise Fault(f"`{name}` does not exist", "correct the name, or put the file there")
    if path.is_dir():
        raise Fault(f"`{name}` is a folder", "name the ONNX file in it")
    data = path.read_bytes()
    if not data:
        raise Fault(f"`{name}` is empty", _GET_AGAIN)
    for start, what, advice in _KNOWN_STARTS:
        if data.startswith(start):
            raise Fault(f"`{name}` is {what}", advice)
    if data[4:8] == b"TFL3":
        raise Fault(f"`{name}` is a TFLite file", "name it as `tflite:`")
    return data


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write one self-contained file; the same model always gives the same bytes."""
    numbers = sum(math.prod(tensor.dims) for tensor in tensors(model.graph))
    # ByteSize writes the whole model to count it.
    if 16 * numbers > LARGEST_BYTES and model.ByteSize() > LARGEST_BYTES:
        raise Fault(
            f"the model has {model.ByteSize():,} bytes, more than one ONNX file can hold",
            "NPU toolkits read single files below 2 GiB; use a smaller network or float16 weights",
        )
    path.write_bytes(model.SerializeToString(deterministic=True))
