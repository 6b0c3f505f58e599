"""What a row of the table says of a built NAME_qdq.onnx besides numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def notes(folder: Path, target: str) -> Iterator[str]:
    """folder: build/TARGET. What onnxruntime warned of, and choices that change nothing."""
    place = folder / "build.json"
    if place.is_file():
        from quant.report import integer_build  # of a row that is told

        yield from integer_build.read(place).notes
