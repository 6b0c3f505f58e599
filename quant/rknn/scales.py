"""The scales that stand in an .rknn file: of inputs, outputs and what layers leave in memory."""

from __future__ import annotations

import struct
from typing import Any

from quant.rknn.file import RknnFile
from quant.rknn.flatbuffer import Table
from quant.rknn.parts import VERSION_6, VERSION_1004

# A tensor's fields with one number for each channel or for all: f32, and i32 the last.
_RANGE = {
    VERSION_6: {"minimum": 8, "maximum": 9, "scale": 10, "zero_point": 11},
    VERSION_1004: {"scale": 6, "zero_point": 7},
}


def told(file: RknnFile, table: Table) -> dict[str, Any]:
    """scale, zero_point and, where the container has them, minimum and maximum of a tensor.

    Each a single number, a list of them (one a channel), or None.
    """
    return {name: _numbers(table, index, name) for name, index in _RANGE[file.version].items()}


def of_tensors(file: RknnFile) -> dict[str, tuple[float, int]]:
    """Tensor of the first graph -> scale and zero point, of those that have one of each."""
    tables = file.root.tables(2)
    held = tables[0].tables(0) if tables else []
    found = {}
    for table, tensor in zip(held, file.tensors[0] if file.tensors else (), strict=True):
        one = told(file, table)
        if isinstance(one["scale"], float) and isinstance(one["zero_point"], int):
            found[tensor.name] = one["scale"], one["zero_point"]
    return found


def _numbers(table: Table, index: int, name: str) -> Any:
    start, count = table.vector(index, 4)
    if not count:
        return None
    form = "i" if name == "zero_point" else "f"
    numbers = struct.unpack_from(f"<{count}{form}", table.data, start)
    return numbers[0] if count == 1 else list(numbers)
