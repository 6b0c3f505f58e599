"""The range of every float tensor over the calibration data, whose samples are seen one at a time.

onnxruntime's own calibraters of histograms keep what every sample makes until the last has run.
Here nothing is kept but a few numbers, or a histogram, of each tensor, and the ranges are the same
to the last digit: a histogram's bins depend on the extremes of all samples alone, so that a second
pass over the samples, which knows these, counts what a histogram of everything would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.execution.run import FloatRun
from quant.fault import Fault
from quant.graph.analysis.reals import float_tensors, with_outputs
from quant.graph.graph import Graph

Array = NDArray[Any]
Samples = Callable[[], Iterable[Mapping[str, Array]]]  # from the first on, every time
_REALS = ("float16", "float32")  # those that onnxruntime quantizes
_BINS = {"Entropy": 128, "Percentile": 2048}  # as create_calibrator has them
_QUANTIZED_BINS = 128


@dataclass(frozen=True)
class Calibration:
    """How ranges are made of what was seen, in onnxruntime's words.

    method: MinMax, Entropy or Percentile. bins: of a histogram; None: as onnxruntime has it.
    """

    method: str
    percentile: float
    bins: int | None

    @property
    def of_magnitudes(self) -> bool:
        """quantize_static takes percentiles of absolute values, if not told otherwise."""
        return self.method == "Percentile"

    @property
    def number_of_bins(self) -> int:
        return self.bins or _BINS[self.method]


@dataclass
class Extremes:
    """Of one tensor: lowest and highest value, least and largest magnitude, in its own type."""

    low: Any
    high: Any
    least: Any
    largest: Any

    @classmethod
    def of(cls, values: Array) -> Extremes:
        if not values.size:
            zero = values.dtype.type(0)
            return cls(zero, zero, zero, zero)
        magnitudes = np.abs(values)
        return cls(values.min(), values.max(), magnitudes.min(), magnitudes.max())

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    def join(self, other: Extremes) -> None:
        # np.minimum keeps NaN, which min does not.
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        self.least = np.minimum(self.least, other.least)
        self.largest = np.maximum(self.largest, other.largest)


def observe(
    model: onnx.ModelProto, calibration: Calibration, samples: Samples
) -> dict[str, tuple[float, float]]:
    """Tensor -> (lowest, highest), of every float tensor, inputs too, that is finite.

    Raises Fault on no samples.
    """
    tensors = Tensors(model)
    found: dict[str, Extremes] = {}
    for name, values in tensors.each(samples()):
        extremes = Extremes.of(values)
        found.setdefault(name, extremes).join(extremes)
    if not found:
        raise Fault("there are no samples to take ranges from", "give calibration data")
    finite = {name: one for name, one in found.items() if one.is_finite}
    if calibration.method == "MinMax":
        return {name: (float(one.low), float(one.high)) for name, one in finite.items()}
    return _chosen(calibration, finite, _histograms(calibration, finite, tensors, samples))


class Tensors:
    """The float tensors of a graph, its inputs and all that nodes make."""

    def __init__(self, model: onnx.ModelProto) -> None:
        made = float_tensors(Graph(model, is_copied=False))
        self._run = FloatRun(with_outputs(model, made))

    def each(self, samples: Iterable[Mapping[str, Array]]) -> Iterator[tuple[str, Array]]:
        """Every tensor of every sample, in the graph's order."""
        for sample, made in self._run.each(samples):
            for name, values in {**sample, **made}.items():
                if values.dtype.name in _REALS:
                    yield name, values


def _histograms(
    calibration: Calibration, found: Mapping[str, Extremes], tensors: Tensors, samples: Samples
) -> dict[str, tuple[Array, Array]]:
    """Tensor -> (counts, edges) of all that it held, or of its magnitudes."""
    made: dict[str, tuple[Array, Array]] = {}
    for name, values in tensors.each(samples()):
        if name not in found:
            continue
        one = found[name]
        least = one.least if calibration.of_magnitudes else -one.largest
        seen = np.abs(values) if calibration.of_magnitudes else values
        counts, edges = np.histogram(seen, calibration.number_of_bins, range=(least, one.largest))
        before = made.get(name)
        made[name] = (counts if before is None else before[0] + counts, edges)
    return made


def _chosen(
    calibration: Calibration,
    found: Mapping[str, Extremes],
    histograms: Mapping[str, tuple[Array, Array]],
) -> dict[str, tuple[float, float]]:
    """What onnxruntime's own collector makes of the histograms."""
    from onnxruntime.quantization.calibrate import HistogramCollector

    collector = HistogramCollector(
        method=calibration.method.lower(),
        symmetric=calibration.of_magnitudes,
        num_bins=calibration.number_of_bins,
        num_quantized_bins=_QUANTIZED_BINS,
        percentile=calibration.percentile,
        scenario="same",
    )
    for name, (counts, edges) in histograms.items():
        one = found[name]
        edges = edges.astype(one.low.dtype)
        collector.histogram_dict[name] = (counts, edges, one.low, one.high, one.largest)
    chosen = collector.compute_collection_result()
    return {name: (float(told[0]), float(told[1])) for name, told in chosen.items()}
