"""What quantize leaves for build and analyze: the float graph that is lowered, and its numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import onnx
from numpy.typing import NDArray

from quant.equalization.equalize import equalize
from quant.fixed_point.calibration.ranges import Range, data_free_samples, observe
from quant.fixed_point.calibration.tuning import Tuner, Tuning, is_wanted
from quant.fixed_point.lower import lower
from quant.fixed_point.network.network import Network
from quant.fixed_point.network.options import Options
from quant.fixed_point.prepare import prepare
from quant.graph.file import read, save

Samples = Iterable[Mapping[str, NDArray[Any]]]
_MODEL, _RANGES = "model.onnx", "ranges.json"


class Chosen(Protocol):
    """What quantize reads of FixedPoint."""

    @property
    def shifts(self) -> str: ...
    @property
    def equalize(self) -> bool: ...
    @property
    def weight_rounding(self) -> str: ...


@dataclass(frozen=True)
class Prepared:
    """ranges: of every float tensor of the model; none with constant shifts. tuning: empty where
    weights go to nearest.
    """

    model: onnx.ModelProto
    ranges: Mapping[str, Range]
    tuning: Tuning

    @classmethod
    def of(cls, model: onnx.ModelProto, chosen: Chosen, samples: Samples) -> Prepared:
        """samples: as the graph takes them; not read unless shifts are `calibrated`."""
        prepared = prepare(model)
        if chosen.equalize:
            prepared = equalize(prepared)
        if chosen.shifts == "constant":
            return cls(prepared, {}, Tuning())
        if chosen.shifts == "data_free":
            samples = data_free_samples(prepared)
        if not is_wanted(chosen.weight_rounding, prepared):
            return cls(prepared, observe(prepared, samples), Tuning())
        tuner = Tuner(prepared)
        ranges = observe(prepared, samples, tuner)
        return cls(prepared, ranges, tuner.tuning())

    def lowered(self, options: Options) -> Network:
        """Raises Fault on operators without an integer form, unless the options leave them."""
        return lower(self.model, self.ranges, options, self.tuning)

    @classmethod
    def read(cls, folder: Path) -> Prepared:
        """What `save` wrote."""
        told = json.loads((folder / _RANGES).read_text())
        ranges = {name: Range(**found) for name, found in told.items()}
        return cls(read(folder / _MODEL), ranges, Tuning.load(folder))

    def save(self, folder: Path) -> None:
        """FOLDER/model.onnx, ranges.json: tensor -> its Range, and what Tuning leaves."""
        folder.mkdir()
        save(self.model, folder / _MODEL)
        told = {name: asdict(found) for name, found in self.ranges.items()}
        (folder / _RANGES).write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")
        self.tuning.save(folder)
