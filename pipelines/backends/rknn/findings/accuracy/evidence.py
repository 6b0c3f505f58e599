"""What a cause of lost accuracy looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quant.report.target_metrics import Metrics
from quant.samples.input import Input

# Below these an output is taken for hurt.
COSINE, ERROR = 0.99, 0.05


@dataclass(frozen=True)
class Range:
    """How a tensor is held in int8. low, high: what is held; seen_*: what calibration saw."""

    scale: float
    low: float
    high: float
    seen_low: float
    seen_high: float

    @property
    def seen(self) -> float:
        return self.seen_high - self.seen_low


@dataclass(frozen=True)
class Operation:
    """A node of the network as the SDK quantized it. inputs: tensors that are no constants."""

    op: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    mode: str = ""


@dataclass(frozen=True)
class Layer:
    """A compared tensor in the network's order: lowest cosines over the samples."""

    tensor: str
    entire: float
    single: float


@dataclass(frozen=True)
class SourceScale:
    """A tensor of a source that was quantized before. source, file: scale and int8 zero point.

    file: None where the compiled layers hold no such tensor.
    """

    tensor: str
    source: tuple[float, int]
    file: tuple[float, int] | None


@dataclass(frozen=True)
class Evidence:
    """metrics: metrics.json. printed: the SDK's E and W lines. ranges: of int8 tensors.

    inputs: the recipe's, by name. samples: input -> see quant.samples.statistics. lost: tensors
    that are all 0 in int8 alone. source_scales: of a prequantized ONNX source. spans: tensor ->
    lowest and highest of each channel of the float network, over the analyzed samples. calibrated:
    how many samples calibration had. Empty, or None, where the target has none of it.
    """

    metrics: Metrics
    printed: Sequence[str] = ()
    ranges: Mapping[str, Range] = field(default_factory=dict)
    operations: Sequence[Operation] = ()
    layers: Sequence[Layer] = ()
    inputs: Mapping[str, Input] = field(default_factory=dict)
    samples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    lost: Sequence[str] = ()
    source_scales: Sequence[SourceScale] = ()
    spans: Mapping[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)
    calibrated: int | None = None

    @property
    def is_hurt(self) -> bool:
        """Whether an output is far from the float one."""
        cosine, error = self.metrics.worst_output_cosine, self.metrics.worst_output_error
        return (cosine is not None and cosine < COSINE) or (error is not None and error > ERROR)

    def shared(self, op: str) -> Iterator[tuple[Operation, Range, Range]]:
        """Nodes of one input that is held as their output is, with both ranges."""
        for one in self.operations:
            if one.op != op or len(one.inputs) != 1:
                continue
            before, after = self.ranges.get(one.inputs[0]), self.ranges.get(one.outputs[0])
            if before and after and before.scale == after.scale:
                yield one, before, after
