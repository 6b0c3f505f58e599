"""What each float tensor was seen to hold, sample by sample: memory does not grow with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.execution.run import FloatRun
from quant.execution.softmax import without_softmax
from quant.fault import Fault
from quant.fixed_point.calibration.channel_means import ChannelMeans, weighted_inputs
from quant.fixed_point.calibration.magnitudes import Magnitudes
from quant.fixed_point.calibration.softmax_axis import softmax_axis
from quant.fixed_point.calibration.together import together
from quant.fixed_point.calibration.tuning import Tuner
from quant.graph.analysis.reals import float_tensors, with_outputs
from quant.graph.graph import Graph
from quant.graph.types import TensorType, input_types

DATA_FREE_SAMPLES = 256
_UNSEEN = math.log(256)  # exp(-5.5) is half of the last place


@dataclass(frozen=True)
class Range:
    """Least and largest value over all samples.

    peak: the magnitude that a scale should hold, where less than the largest is better; None: the
    largest. means: of each channel, for tensors that a layer with weights reads.
    """

    low: float
    high: float
    peak: float | None = None
    means: Sequence[float] | None = None

    @property
    def largest(self) -> float:
        return max(abs(self.low), abs(self.high))

    @property
    def magnitude(self) -> float:
        """What a scale should hold that is a power of two."""
        return self.largest if self.peak is None else self.peak


def observe(
    model: onnx.ModelProto,
    samples: Iterable[Mapping[str, NDArray[Any]]],
    tuner: Tuner | None = None,
) -> dict[str, Range]:
    """The range of every float tensor of a graph that gets a scale, inputs too, over all samples.

    tuner: is given every sample as well. Raises Fault on no samples, and on tensors that are not
    finite, named.
    """
    graph = Graph(model, is_copied=False)
    names = ranged_tensors(graph)
    run = FloatRun(without_softmax(with_outputs(model, names)))
    scores, read, means = softmax_inputs(graph), weighted_inputs(model), ChannelMeans()
    positive = non_negative(graph)
    ranges: dict[str, Range] = {}
    magnitudes: dict[str, Magnitudes] = {}
    for few, stacks in together(run.each(samples), is_kept=tuner is not None):
        for name, values in stacks.items():
            if name in scores:
                values = relevant(values, 1 + scores[name])
            seen = _range(name, values, name in positive)
            ranges[name] = _joined(ranges.get(name), seen)
            magnitudes.setdefault(name, Magnitudes()).add(values, seen.magnitude, len(values))
            if name in read:
                means.add_each(name, values, read[name])
        if tuner is not None:
            for i, sample in enumerate(few):
                tuner.add(sample, {name: values[i] for name, values in stacks.items()})
    if not ranges:
        raise Fault("there are no samples to take ranges from", "give calibration data")
    return {
        name: replace(seen, peak=magnitudes[name].best_peak(), means=means.of(name))
        for name, seen in ranges.items()
    }


def ranged_tensors(graph: Graph) -> list[str]:
    """Float tensors without those that a Relu or Clip alone reads: these become one with it."""

    def is_taken_in(name: str) -> bool:
        readers = graph.consumers(name)
        is_alone = len(readers) == 1 and not graph.is_output(name)
        return is_alone and readers[0].op_type in ("Relu", "Clip")

    names = float_tensors(graph)
    kept = [name for name in names if not is_taken_in(name)]
    return kept or names


def softmax_inputs(graph: Graph) -> dict[str, int]:
    """Tensors that Softmax alone reads -> its axis, where it is one."""
    found: dict[str, int] = {}
    for node in graph.nodes:
        name = node.input[0] if node.op_type == "Softmax" else ""
        type_ = graph.type(name) if name else None
        if type_ is None or not type_.is_static:
            continue
        axis = softmax_axis(graph, node, type_.static_shape)
        if axis is not None and len(graph.consumers(name)) == 1 and not graph.is_output(name):
            found[name] = axis
    return found


def relevant(scores: NDArray[Any], axis: int) -> NDArray[Any]:
    """Scores lifted to where a Softmax of codes of 1/128 still sees them: what lies further below
    the largest becomes 0 anyway, and must not cost the others precision."""
    lifted: NDArray[Any] = np.maximum(scores, scores.max(axis=axis, keepdims=True) - _UNSEEN)
    return lifted


def non_negative(graph: Graph) -> set[str]:
    """Outputs of Relu, and of Clip from 0 on."""
    return {
        str(node.output[0])
        for node in graph.nodes
        if node.op_type == "Relu" or (node.op_type == "Clip" and _least(graph, node) == 0)
    }


def _least(graph: Graph, node: onnx.NodeProto) -> float | None:
    low = graph.constant(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    return None if low is None else float(low)


def _range(name: str, values: NDArray[Any], is_positive: bool) -> Range:
    """Of a few samples. is_positive: none is below 0, so that there is no need to look for it."""
    if not values.size:
        raise Fault(f"`{name}` has no elements", "leave it out of the graph")
    low = 0.0 if is_positive else float(values.min(initial=np.inf))
    high = float(values.max(initial=-np.inf))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise Fault(f"`{name}` holds NaN or infinities", "check the weights and the data")
    if len(values) > 1 and not (high and (low or is_positive)):
        # Of 0.0 and -0.0, NumPy gives one that hangs on where they lie; files hold it.
        return reduce(
            _joined, (_range(name, values[i : i + 1], is_positive) for i in range(len(values)))
        )
    return Range(low, high)


def _joined(one: Range | None, other: Range) -> Range:
    if one is None:
        return other
    return Range(min(one.low, other.low), max(one.high, other.high))


def data_free_samples(
    model: onnx.ModelProto, count: int = DATA_FREE_SAMPLES, seed: int = 0
) -> Iterator[dict[str, NDArray[Any]]]:
    """`count` samples: standard normal reals, and indices of any row of their tables."""
    types = input_types(model)
    rows = {name: _rows(model, name) for name in types}
    for number in range(count):
        random = np.random.default_rng([seed, number])
        yield {name: _drawn(random, type_, rows[name]) for name, type_ in types.items()}


def _drawn(random: np.random.Generator, type_: TensorType, rows: int) -> NDArray[Any]:
    if type_.dtype.startswith("float"):
        return random.standard_normal(type_.static_shape, np.float32).astype(type_.dtype)
    return random.integers(0, rows, type_.static_shape).astype(type_.dtype)


def _rows(model: onnx.ModelProto, name: str) -> int:
    """The rows of the smallest constant table that an input picks from; 1 without one."""
    graph = Graph(model, is_copied=False)
    names, found = {name}, []
    for node in graph.nodes:
        if not names.intersection(node.input):
            continue
        table = graph.constant(node.input[0]) if node.op_type == "Gather" else None
        if table is None:
            names.update(node.output)  # a Cast, Slice or Reshape of the indices
        elif len(table):
            found.append(len(table))
    return min(found, default=1)
