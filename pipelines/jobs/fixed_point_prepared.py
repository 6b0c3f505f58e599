"""What quantize leaves for build and analyze: the float graph that is lowered, and its ranges."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from quant.fixed_point.equalize import equalize
from quant.fixed_point.prepare import prepare
from quant.fixed_point.ranges import Range, data_free_samples, observe
from quant.graph_file import read, save

Samples = Iterable[Mapping[str, NDArray[Any]]]
_MODEL, _RANGES = "model.onnx", "ranges.json"


@dataclass(frozen=True)
class Prepared:
    """ranges: of every float tensor of the model; none with constant shifts."""

    model: onnx.ModelProto
    ranges: Mapping[str, Range]

    @classmethod
    def of(
        cls, model: onnx.ModelProto, shifts: str, is_equalized: bool, samples: Samples
    ) -> Prepared:
        """samples: as the graph takes them; not read unless shifts are `calibrated`."""
        prepared = prepare(model)
        if is_equalized:
            prepared = equalize(prepared)
        if shifts == "constant":
            return cls(prepared, {})
        if shifts == "data_free":
            samples = data_free_samples(prepared)
        return cls(prepared, observe(prepared, samples))

    @classmethod
    def read(cls, folder: Path) -> Prepared:
        """What `save` wrote."""
        told = json.loads((folder / _RANGES).read_text())
        ranges = {name: Range(**found) for name, found in told.items()}
        return cls(read(folder / _MODEL), ranges)

    def save(self, folder: Path) -> None:
        """FOLDER/model.onnx, and ranges.json: tensor -> its Range."""
        folder.mkdir()
        save(self.model, folder / _MODEL)
        told = {name: asdict(found) for name, found in self.ranges.items()}
        (folder / _RANGES).write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")
