"""What the probe printed, as data: see probe.c."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.backends.rknn.runtime.layer_table import Layer, parse

# enum values of the public C API.
_LAYOUTS = ("NCHW", "NHWC", "NC1HWC2", "UNDEFINED")
_TYPES = (
    *("FLOAT32", "FLOAT16", "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64"),
    "BOOL",
)
_QUANTIZED = ("INT8", "UINT8", "INT16", "UINT16")
_AFFINE = 2
_SIDES = ("input", "output", "native_input", "native_output")
_ERROR = re.compile(r"E RKNN: (?:\[[\d:.]+\] )?(.*)")  # librknnmrt has no time


@dataclass
class Told:
    """version: of the runtime. init, inputs_set, run: codes that the calls gave, None where they
    gave none.

    tensors: side -> rows. errors: the runtime's own words. is_done: whether the probe came through.
    """

    version: str = ""
    init: int | None = None
    inputs_set: int | None = None
    run: int | None = None
    weights_bytes: int | None = None
    internal_bytes: int | None = None
    custom_string: str = ""
    is_done: bool = False
    library_error: str = ""
    tensors: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {s: [] for s in _SIDES}
    )
    layers: list[Layer] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def read(text: str) -> Told:
    told = Told()
    lines = iter(text.splitlines())
    for line in lines:
        word, _, rest = line.partition(" ")
        if error := _ERROR.search(line):
            told.errors.append(error[1])
        elif word in ("init", "inputs_set", "run"):
            setattr(told, word, int(rest))
        elif word == "version":
            told.version = rest.split(" ")[0]
        elif word == "library":
            told.library_error = rest
        elif word == "custom":
            told.custom_string = rest
        elif word == "memory":
            told.weights_bytes, told.internal_bytes = map(int, rest.split())
        elif word in _SIDES:
            told.tensors[word].append(_tensor(rest))
        elif line == "layers":
            told.layers = parse(list(iter(lambda: next(lines, "end of layers"), "end of layers")))
        elif line == "done":
            told.is_done = True
    return told


def _tensor(rest: str) -> dict[str, Any]:
    """`layout type quantization zero_point scale bytes stride bytes_with_stride n axes... name`."""
    words = rest.split(" ")
    axes = int(words[8])
    dtype = _named(_TYPES, int(words[1]))
    # Of floats and of ids it says 1 and 0.
    is_affine = int(words[2]) == _AFFINE and dtype in _QUANTIZED
    return {
        "name": " ".join(words[9 + axes :]),
        "shape": [int(word) for word in words[9 : 9 + axes]],
        "layout": _named(_LAYOUTS, int(words[0])),
        "dtype": dtype,
        "scale": float(words[4]) if is_affine else None,
        "zero_point": int(words[3]) if is_affine else None,
        "bytes": int(words[5]),
        "width_stride": int(words[6]),
        "bytes_with_stride": int(words[7]),
    }


def _named(names: Sequence[str], number: int) -> str:
    return names[number] if 0 <= number < len(names) else f"number {number}"
