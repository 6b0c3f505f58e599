"""metrics.json: how far a built network is from the float one, in figures; of every backend.

The keys stand in the file in the order of `_KEYS`. What a backend does not measure is left out.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Outputs = Mapping[str, Mapping[str, Any]]  # name -> as output_error and layer_error say


@dataclass(frozen=True)
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
    float_layers: int
    sizes: Mapping[str, int]
    size_ratio: float
    compared_layers: int | None = None
    cpu_layers: int | None = None
    cycles: int | None = None
    simulation: Mapping[str, Any] | None = None
    overflow: Mapping[str, Any] | None = None
    compared_values: int | None = None
    accuracy: Mapping[str, Any] | None = None
    evaluation: Mapping[str, Any] | None = None


_SIMULATED = ("compared_layers", "cpu_layers", "cycles", "simulation", "overflow")
_OPTIONAL = (*_SIMULATED, "compared_values", "accuracy", "evaluation")
_NAMES = {"sizes": "bytes"}  # field -> key, where they differ
_KEYS = (
    *("samples", "worst_cosine", "worst_layer", "worst_single_cosine", "worst_single_layer"),
    *("mean_cosine", "outputs", "worst_output_cosine", "worst_cosine_output"),
    *("worst_output_error", "worst_error_output", "layers", "compared_layers", "cpu_layers"),
    *("float_layers", "cycles", "compared_values", "simulation", "overflow", "bytes"),
    *("size_ratio", "accuracy", "evaluation"),
)


def to_json(metrics: Metrics) -> str:
    """metrics.json; never NaN, which JSON does not have."""
    told = {_NAMES.get(key, key): value for key, value in vars(metrics).items()}
    left_out = {key for key in _OPTIONAL if told[key] is None}
    if metrics.simulation is not None:
        left_out -= set(_SIMULATED)
    data = {key: told[key] for key in _KEYS if key not in left_out}
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def from_json(text: str) -> Metrics:
    """What `to_json` wrote. Raises KeyError on a file that lacks something: of an older analyze."""
    data = json.loads(text)
    keys = {field.name: _NAMES.get(field.name, field.name) for field in dataclasses.fields(Metrics)}
    return Metrics(
        **{name: data.get(key) if key in _OPTIONAL else data[key] for name, key in keys.items()}
    )


def read(path: Path) -> Metrics:
    """Of a file. Raises KeyError, OSError."""
    return from_json(path.read_text(encoding="utf-8"))
