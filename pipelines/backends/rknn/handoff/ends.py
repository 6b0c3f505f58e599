"""Inputs and outputs of an .rknn as the board's program sees them, from the file alone.

Measured with librknnrt 1.5.2 (rknn_query): inputs of four axes are NHWC, outputs of four NCHW,
others stand as in the network; types, scales and zero points are the file's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_TYPES = {"FLOAT": "FLOAT32"}  # the runtime's name where it is another
BYTES = {"FLOAT32": 4, "FLOAT16": 2, "INT16": 2, "INT32": 4, "INT64": 8}  # others have one


def of_input(row: Mapping[str, Any], batch: int = 1) -> dict[str, Any]:
    """row: of inspection's `inputs`; batch: inspection's."""
    shape = _many(row["shape"], batch)
    if len(shape) == 4:
        return _end(row, "NHWC", [shape[axis] for axis in (0, 2, 3, 1)])
    return _end(row, "UNDEFINED", shape)


def of_output(row: Mapping[str, Any], batch: int = 1) -> dict[str, Any]:
    """row: of inspection's `outputs`; batch: inspection's."""
    shape = _many(row["shape"], batch)
    return _end(row, "NCHW" if len(shape) == 4 else "UNDEFINED", shape)


def _many(shape: Sequence[int], batch: int) -> list[int]:
    return [one * batch if axis == 0 else one for axis, one in enumerate(shape)]


def _end(row: Mapping[str, Any], layout: str, shape: Sequence[int]) -> dict[str, Any]:
    dtype = _TYPES.get(row["dtype"], row["dtype"])
    return {
        "name": row["name"],
        "shape": list(shape),
        "layout": layout,
        "dtype": dtype,
        "scale": row["scale"],
        "zero_point": row["zero_point"],
        "bytes": math.prod(shape) * BYTES.get(dtype, 1),
    }
