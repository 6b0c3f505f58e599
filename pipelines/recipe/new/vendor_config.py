"""The vendor's model_config.yml, which `python -m rknn.api.rknn_convert` reads.

Source: rknn/api/rknn_convert.py of rknn-toolkit2 2.5.0. Keys that it knows and a recipe has no
place for are told, and none is left out in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from quant.fault import Fault

_FILES = {"onnx": ".onnx", "tflite": ".tflite", "pytorch": ".pt"}  # what a recipe can read
_OWN = {
    *("mean_values", "std_values", "channel_mean_value", "quant_img_RGB2BGR"),
    *("quantized_dtype", "quantized_algorithm", "quantized_method", "target_platform"),
}


@dataclass(frozen=True)
class VendorConfig:
    """means, stds: one list an input, in order. quantize, rknn: keys of a recipe."""

    file: Path
    dataset: Path | None
    is_quantized: bool
    means: list[list[float]] | None
    stds: list[list[float]] | None
    is_bgr: bool
    quantize: dict[str, Any] = field(default_factory=dict)
    rknn: dict[str, Any] = field(default_factory=dict)
    shapes: list[list[int]] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def read(path: Path, name: str, known: Mapping[str, Any]) -> VendorConfig:
    """known: option of RKNN.config -> its default.

    Raises Fault on a file that rknn_convert would not take, or whose network we don't read.
    """
    model = _model(path, name)
    configs = {key: _flag(value) for key, value in (model.get("configs") or {}).items()}
    platform = model.get("platform")
    if platform not in _FILES:
        raise Fault(
            f"{name}: no way from `platform: {platform}` to a recipe",
            f"export the network to ONNX, and name that file; read are {', '.join(_FILES)}",
        )
    told = model.get("pt_file_path", model.get("model_file_path"))
    file = path.parent / str(told)
    if told is None or not file.is_file():
        raise Fault(f"{name}: model_file_path: no file {told}", "correct it: it counts from there")
    means, stds = _scaling(configs)
    dataset = path.parent / str(model["dataset"]) if model.get("dataset") else None
    graph = model.get("subgraphs") or {}
    return VendorConfig(
        file,
        dataset,
        bool(_flag(model.get("quantize", True))),
        means,
        stds,
        bool(configs.get("quant_img_RGB2BGR")),
        _quantize(configs),
        _options(configs, known, name),
        [_size(text) for text in graph.get("input_size_list", graph.get("input-size-list")) or ()],
        [str(output) for output in graph.get("outputs") or ()],
    )


def _model(path: Path, name: str) -> Mapping[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Fault(f"{name}: no YAML: {str(error).splitlines()[0]}", "mend it") from error
    model = data.get("models") if isinstance(data, Mapping) else None
    if not isinstance(model, Mapping):
        raise Fault(f"{name} has no mapping `models`", "name the vendor's model_config.yml")
    return model


def _flag(value: Any) -> Any:
    """rknn_convert takes flags as text, too."""
    text = str(value).lower()
    return text == "true" if text in ("true", "false") else value


def _scaling(configs: Mapping[str, Any]) -> tuple[Any, ...]:
    if "mean_values" in configs and "std_values" in configs:
        return _nested(configs["mean_values"]), _nested(configs["std_values"])
    if "channel_mean_value" not in configs:
        return None, None
    *means, std = map(float, str(configs["channel_mean_value"]).split())
    stds = [std] * len(means)
    # -1 stands for none in rknn_convert.
    return tuple(None if told == [-1] else [told] for told in (means, stds))


def _nested(values: Any) -> list[list[float]] | None:
    if not values:
        return None
    rows = values if isinstance(values[0], list) else [values]
    return [[float(value) for value in row] for row in rows]


def _quantize(configs: Mapping[str, Any]) -> dict[str, Any]:
    old = {"asymmetric_quantized-8": "w8a8", "asymmetric_quantized-u8": "w8a8"}
    found = {}
    for key, default in (("dtype", "w8a8"), ("algorithm", "normal"), ("method", "channel")):
        value = configs.get(f"quantized_{key}", default)
        value = old.get(value, value)
        if value != default:
            found[key] = value
    return found


def _options(configs: Mapping[str, Any], known: Mapping[str, Any], name: str) -> dict[str, Any]:
    """RKNN.config's other options that are not its default."""
    found = {}
    for key, value in configs.items():
        if key in _OWN:
            continue
        if key not in known:
            raise Fault(f"{name}: configs has `{key}`, which no recipe has", "delete it there")
        if value != known[key]:
            found[key] = value
    return found


def _size(text: Any) -> list[int]:
    size = [int(part) for part in str(text).strip("[]").split(",")]
    return [1, *size] if len(size) == 3 else size
