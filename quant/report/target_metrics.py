"""metrics.json: how far a built network is from the float one, in figures; of every backend.

The keys stand in the file in the order of the fields. What a backend does not measure is left out.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Outputs = Mapping[str, Mapping[str, Any]]  # name -> as output_error and layer_error say


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """One built target, analyzed.

    samples: how many were analyzed.
    worst_cosine, worst_layer: lowest *entire* cosine of a tensor over all samples; None, with the
    tensor's name, where one is not finite; both None for no comparison.
    worst_single_cosine, worst_single_layer: the same of *single*.
    mean_cosine: mean of the tensors' mean *entire* cosines.
    worst_output_cosine, worst_cosine_output, worst_output_error, worst_error_output: of `outputs`.
    layers, float_layers, compared_layers, cpu_layers: counts.
    sizes: file -> bytes, `onnx` that of the float network; `bytes` in the file.
    size_ratio: the artifact's bytes by onnx's.
    simulation: {by, reason}: whose figures these are. overflow: {tensor, magnitude}: the float
    network's first beyond float16, where an output is not finite. cycles: None where the compiler
    tells none. These three, compared_layers and cpu_layers are of a backend with a simulator.
    compared_values: integers of the files, compared on the samples, all equal.
    accuracy: {NETWORK: number, samples}, for labelled data; evaluation: in its place, {samples,
    metrics: {NAME: {NETWORK: number}}}, where the recipe names a function.
    divided: see quant.rewrites.divided, where `divide_outputs` left something to multiply.
    """

    samples: int
    worst_cosine: float | None
    worst_layer: str | None
    worst_single_cosine: float | None
    worst_single_layer: str | None
    mean_cosine: float | None
    outputs: Outputs
    worst_output_cosine: float | None
    worst_cosine_output: str | None
    worst_output_error: float | None
    worst_error_output: str | None
    layers: int
    compared_layers: int | None = None
    cpu_layers: int | None = None
    float_layers: int
    cycles: int | None = None
    compared_values: int | None = None
    simulation: Mapping[str, Any] | None = None
    overflow: Mapping[str, Any] | None = None
    sizes: Mapping[str, int]
    size_ratio: float
    accuracy: Mapping[str, Any] | None = None
    evaluation: Mapping[str, Any] | None = None
    divided: Mapping[str, Any] | None = None


_SIMULATED = ("compared_layers", "cpu_layers", "cycles", "simulation", "overflow")
_NAMES = {"sizes": "bytes"}  # field -> key, where they differ
_KEYS = {field.name: _NAMES.get(field.name, field.name) for field in dataclasses.fields(Metrics)}
_OPTIONAL = {field.name for field in dataclasses.fields(Metrics) if field.default is None}


def to_json(metrics: Metrics) -> str:
    """metrics.json; never NaN, which JSON does not have."""
    left_out = {name for name in _OPTIONAL if getattr(metrics, name) is None}
    if metrics.simulation is not None:
        left_out -= set(_SIMULATED)
    data = {key: getattr(metrics, name) for name, key in _KEYS.items() if name not in left_out}
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def from_json(text: str) -> Metrics:
    """What `to_json` wrote. Raises KeyError on a file that lacks something: of an older analyze."""
    data = json.loads(text)
    return Metrics(
        **{name: data.get(key) if name in _OPTIONAL else data[key] for name, key in _KEYS.items()}
    )


def read(path: Path) -> Metrics:
    """Of a file. Raises KeyError, OSError."""
    return from_json(path.read_text(encoding="utf-8"))
