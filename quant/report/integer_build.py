"""build.json of files that npumake or onnxruntime quantized. One writer, one reader."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
_NAMES = {"size_bytes": "bytes"}  # field -> key, where they differ


@dataclass(frozen=True, kw_only=True)
class IntegerBuild:
    """Fields stand in the file in this order, but for those that are None.

    options: as resolved. toolkit: of another's quantizer: its name and version. notes: sentences.
    size_bytes: file -> its bytes; `bytes` in the file. compared_values: how many integers were
    compared with the network's own, all equal. layers: a row each, see the backend's build.
    """

    options: Row
    toolkit: str | None = None
    notes: Sequence[str]
    size_bytes: Mapping[str, int]
    compared_values: int | None = None
    layers: Sequence[Row]

    def save(self, file: Path) -> None:
        data = {_NAMES.get(key, key): value for key, value in asdict(self).items()}
        told = {key: value for key, value in data.items() if value is not None}
        file.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")


def read(file: Path) -> IntegerBuild:
    """What `save` wrote. Raises OSError; KeyError, TypeError on another's file."""
    told = json.loads(file.read_text(encoding="utf-8"))
    return IntegerBuild(**{"size_bytes": told.pop("bytes"), **told})
