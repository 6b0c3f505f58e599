"""What the SDK's hybrid_quantization_step1 wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from quant.simulation import parameters
from quant.simulation.parameters import Parameters
from quant.simulation.unknown import Unknown

INT8 = ("w8a8", "asymmetric_quantized-8")
# Other algorithms change weights too: mmse, gdq.
ALGORITHMS = ("normal", "kl_divergence")
METHODS = ("channel", "layer")


@dataclass(frozen=True)
class Step1:
    """model: ONNX with the SDK's own operators. is_per_channel: how weights are rounded."""

    model: onnx.ModelProto
    parameters: Mapping[str, Parameters]
    platform: str
    is_per_channel: bool = True


def read(model: Path, config: Path, options: Mapping[str, Any]) -> Step1:
    """model: NAME.model; config: NAME.quantization.cfg; options: of RKNN.config. Raises Unknown."""
    _known("quantized_algorithm", options, ALGORITHMS)
    method = _known("quantized_method", options, METHODS)
    _known("quantized_dtype", options, INT8)
    network = onnx.load(str(model))
    _drop_listed_weights(network.graph)
    held = parameters.read(config.read_text())
    return Step1(network, held, options["target_platform"], method == "channel")


def _known(option: str, options: Mapping[str, Any], known: tuple[str, ...]) -> str:
    """An option's value, the first of `known` where it is not given."""
    value = options.get(option) or known[0]
    if value not in known:
        raise Unknown(f"`{option}: {value}`")
    return str(value)


def _drop_listed_weights(graph: onnx.GraphProto) -> None:
    """The SDK lists weights among the inputs, as ONNX before IR 4 did."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
