"""What an operator's lowering reads of the float graph and adds to the integer network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.fault import Fault
from quant.fixed_point.calibration.ranges import Range
from quant.fixed_point.calibration.rehearsal import Rehearsal
from quant.fixed_point.calibration.taps import Taps
from quant.fixed_point.calibration.tuning import Tuning
from quant.fixed_point.lowering.bounds import Bounds, bounds_of
from quant.fixed_point.lowering.factors import common_factors
from quant.fixed_point.lowering.joined import joined
from quant.fixed_point.network.network import (
    INT8_HIGH,
    INT8_LOW,
    UINT8_HIGH,
    IndexInput,
    Operation,
    RealInput,
    Requantize,
    Rescale,
    Tensor,
)
from quant.fixed_point.network.options import Options
from quant.fixed_point.network.scales import fitting, just_below, odd_part, power_of_two
from quant.graph.graph import Graph, attribute
from quant.graph.operators import label, operator
from quant.graph.types import shape_text

_MOST_SHIFT = 23
_MOST_AXES = 5  # of PAD and BATCH_MATMUL


@dataclass(frozen=True)
class Accumulator:
    """What an operator makes before its rescale. peak: the largest |number|."""

    scale: Fraction
    peak: int
    is_positive: bool


def peak_of(tensor: Tensor) -> int:
    """The largest |code|."""
    return max(-tensor.low, tensor.high)


class Lowering:
    """The network while it is made. Operators are lowered in the graph's order.

    A float tensor `a` that an operator only renames stands for the integer tensor of another name.
    """

    def __init__(
        self,
        graph: Graph,
        ranges: Mapping[str, Range],
        options: Options,
        shapes: Mapping[str, Any],
        tuning: Tuning,
    ) -> None:
        self.graph = graph
        self.ranges = ranges
        self.options = options
        self.shapes = shapes
        self.inputs: list[RealInput | IndexInput] = []
        self.tensors: dict[str, Tensor] = {}
        self.operations: list[Operation] = []
        self.notes: list[str] = []
        self.done: set[int] = set()  # nodes that were lowered together with an earlier one
        self._same: dict[str, str] = {}
        self._tuning = tuning if self.is_corrected else Tuning()
        self._rehearsal = Rehearsal(self._tuning.rehearsed)
        self._joined, self._mixed = joined(graph, ranges) if options.is_unsigned else ({}, set())
        self.factor = Fraction(1)  # the odd part of the inputs' scales, where they share one

    # What is there

    def fault(self, node: onnx.NodeProto, what: str, advice: str) -> Fault:
        return Fault(f"{operator(node)} `{label(node)}` {what}", advice)

    def tensor(self, node: onnx.NodeProto, position: int = 0) -> Tensor:
        """The integer tensor that a node reads. Raises Fault where it is a constant."""
        name = node.input[position]
        found = self.tensors.get(self._same.get(name, name))
        if found is None and self.graph.constant(name) is not None:
            raise self.fault(
                node,
                f"reads the constant `{name}`, which has no integers here",
                "compute it from an input, or leave the operator in float: `unsupported: float`",
            )
        if found is None:
            raise self.fault(
                node, f"reads `{name}`, which nothing computes in integers", "simplify the graph"
            )
        return found

    def constant(self, node: onnx.NodeProto, position: int) -> NDArray[Any] | None:
        """A node's constant input; None where it is left out or computed."""
        if position >= len(node.input) or not node.input[position]:
            return None
        value = self.graph.constant(node.input[position])
        return None if value is None else np.asarray(value)

    def required(self, node: onnx.NodeProto, position: int) -> NDArray[Any]:
        """A node's constant input. Raises Fault where it is computed."""
        value = self.constant(node, position)
        if value is None:
            raise self.fault(
                node, f"computes its input {position}", "export with fixed weights and shapes"
            )
        return value

    def attribute(self, node: onnx.NodeProto, name: str, default: Any = None) -> Any:
        return attribute(node, name, default)

    def shape(self, name: str) -> tuple[int, ...]:
        """A float tensor's shape. Raises Fault where shape inference did not find it."""
        found = self.shapes.get(name)
        if found is None or not all(isinstance(length, int) for length in found):
            raise Fault(f"`{name}` has the shape {shape_text(found)}", "give inputs fixed shapes")
        return tuple(found)

    def axis(self, node: onnx.NodeProto, axis: int, rank: int) -> int:
        """An axis counted from the front."""
        if not -rank <= axis < rank:
            raise self.fault(node, f"has axis {axis} of {rank}", "the graph is broken: export anew")
        return axis % rank

    def require_few_axes(self, node: onnx.NodeProto, count: int) -> None:
        """Raise Fault where LiteRT's kernel for a node takes no tensor of so many axes."""
        if count > _MOST_AXES:
            advice = f"LiteRT takes {_MOST_AXES}: join some by a Reshape before it"
            raise self.fault(node, f"has {count} axes", advice)

    def only_reader(self, name: str) -> onnx.NodeProto | None:
        """The one node that reads a tensor, unless that is an output too."""
        readers = self.graph.consumers(name)
        if len(readers) != 1 or self.graph.is_output(name):
            return None
        return readers[0]

    def activation(self, name: str) -> tuple[str, Bounds]:
        """The tensor after a Relu or Clip that alone reads `name`, and its bounds.

        That node is then lowered too. Without one: `name` itself, without bounds.
        """
        reader = self.only_reader(name)
        bounds = self.bounds(reader) if reader is not None and reader.input[0] == name else None
        if reader is None or bounds is None:
            return name, Bounds()
        self.done.add(id(reader))
        return str(reader.output[0]), bounds

    def bounds(self, node: onnx.NodeProto) -> Bounds | None:
        """What a Relu or Clip clips to; None for other operators."""
        return bounds_of(self.graph, node)

    # Scales

    def peak(self, name: str) -> float:
        """The magnitude that a float tensor's scale should hold; 0 where it is not known."""
        if name in self._joined:
            return self._joined[name]
        found = self.ranges.get(name)
        if found is None:
            return 0.0
        # A step that need be no power of two gains little where it clips what is rare.
        return found.largest if self.options.is_unsigned else found.magnitude

    @property
    def is_corrected(self) -> bool:
        """Whether weights and biases make good what rounding does."""
        return self.options.is_compensated and self.options.shifts != "constant"

    def means(self, name: str, channels: int) -> NDArray[np.float64] | None:
        """What each channel of a float tensor holds on average, where it is to correct a bias."""
        found = self.ranges.get(name)
        if found is None or found.means is None or len(found.means) != channels:
            return None
        return np.array(found.means) if self.is_corrected else None

    def taps_of(self, node: onnx.NodeProto) -> Taps | None:
        """What a layer's taps read, where its weights are not rounded to nearest."""
        return self._tuning.taps.get(str(node.output[0]))

    def drift(self, node: onnx.NodeProto, axis: int) -> NDArray[np.float64] | None:
        """What each channel that a layer reads is off by on average; None where it is not known."""
        return self._rehearsal.drift(node.input[0], self.tensor(node), axis)

    def limits(self, name: str, is_positive: bool) -> tuple[int, int]:
        """The codes that a float tensor may have. is_positive: it is never below 0."""
        is_unsigned = self.options.is_unsigned and is_positive and name not in self._mixed
        return (0, UINT8_HIGH) if is_unsigned else (INT8_LOW, INT8_HIGH)

    def wanted(
        self,
        name: str,
        finest: Fraction,
        bounds: Bounds | None = None,
        limits: tuple[int, int] | None = None,
    ) -> Fraction:
        """The scale for a float tensor: `finest` over a power of two, or any that uses all codes.

        By its range, never finer than `finest`; with constant shifts the input's own. limits: what
        they are where not by the bounds.
        """
        if self.options.shifts == "constant":
            return min(finest, self._constant(finest))
        peak = self.peak(name)
        if bounds is not None and bounds.high is not None:
            peak = min(peak, max(abs(bounds.high), abs(bounds.low or 0.0)))
        if not peak:
            return finest
        if self.options.is_unsigned:
            is_positive = bounds is not None and bounds.is_positive
            return min(finest, just_below((limits or self.limits(name, is_positive))[1] / peak))
        return min(finest, fitting(odd_part(finest), peak))

    def settled(
        self, node: onnx.NodeProto, name: str, acc: Accumulator, bounds: Bounds
    ) -> tuple[Fraction, Rescale]:
        """The scale of a float tensor, and how an accumulator without weights gets there."""
        if not self.options.is_unsigned:
            scale = self.wanted(name, acc.scale, bounds)
            return scale, self.rescale(self.shift_between(node, acc.scale, scale), bounds, scale)
        limits = self.limits(name, acc.is_positive or bounds.is_positive)
        wanted = self.wanted(name, acc.scale, bounds, limits)
        (factor,), shift = common_factors([wanted / acc.scale], [acc.peak])
        scale = acc.scale * factor / 2**shift
        multiplier = None if factor == 1 else np.array(factor, np.int64)
        return scale, self.rescale(shift, bounds, scale, multiplier, limits)

    def fitting(self, peak: float) -> Fraction:
        """The finest scale at which signed codes hold `peak`, which is positive."""
        return (
            just_below(INT8_HIGH / peak) if self.options.is_unsigned else fitting(self.factor, peak)
        )

    def _constant(self, like: Fraction) -> Fraction:
        """The inputs' scale, or the power of two below it where another factor is in force."""
        scales = [i.input_scale for i in self.inputs if isinstance(i, RealInput)]
        scale = min(scales, default=Fraction(1))
        odd = odd_part(like)
        if odd == odd_part(scale):
            return scale
        return fitting(odd, 127.5 / float(scale))

    def free_scale(self, name: str, limits: tuple[int, int] = (INT8_LOW, INT8_HIGH)) -> Fraction:
        """The scale of a tensor that a table makes, which no accumulator limits."""
        if self.options.shifts == "constant":
            return self._constant(self.factor)
        peak = self.peak(name)
        if peak and self.options.is_unsigned:
            return just_below(limits[1] / peak)
        return fitting(self.factor, peak) if peak else self.factor

    def shift_between(self, node: onnx.NodeProto, fine: Fraction, coarse: Fraction) -> int:
        """n of fine / coarse = 2^n. Raises Fault where a factor of input_scale is in the way."""
        power = power_of_two(fine / coarse)
        if power is None:
            raise self.fault(
                node,
                f"joins scales whose ratio {fine / coarse} is no power of two: one of them has "
                "input_scale's odd factor and the other has not",
                "use an input_scale that is a power of two: 1, 2, 4, 8, 16 ...",
            )
        return power

    def rescale(
        self,
        shift: int,
        bounds: Bounds | None = None,
        scale: Fraction = Fraction(1),
        multiplier: NDArray[np.int64] | None = None,
        limits: tuple[int, int] = (INT8_LOW, INT8_HIGH),
    ) -> Rescale:
        """A shift without a bias of its own; with half of the last place where compensated.

        A shift beyond 23 is one by 23: nothing is left either way, and half of more would be no
        whole number of float32.
        """
        shift = min(shift, _MOST_SHIFT)
        low, high = (bounds or Bounds()).codes(scale, limits)
        half = self.options.is_compensated and shift > 0
        return Rescale(
            shift=np.array(shift, np.int64),
            low=low,
            high=high,
            multiplier=multiplier,
            bias=np.array(2 ** (shift - 1), np.int64) if half else None,
        )

    # What is made

    def start(self, given: RealInput | IndexInput, tensor: Tensor) -> None:
        """Add an input of the network."""
        self.inputs.append(given)
        self.tensors[tensor.name] = tensor
        self._rehearsal.start(given, tensor)

    def add(
        self,
        operation: Operation,
        scale: Fraction | None,
        shape: tuple[int, ...] | None = None,
        bounds: tuple[int, int] | None = None,
        *,
        is_float: bool = True,
    ) -> str:
        """Add an operation and its output. is_float: it stands for the float tensor of its name.

        bounds: least and largest code; those of its rescale where it has one. Returns the name.
        """
        name = operation.output
        rescale = getattr(operation, "rescale", None)
        if bounds is None:
            bounds = (rescale.low, rescale.high) if rescale else (INT8_LOW, INT8_HIGH)
        self.tensors[name] = Tensor(
            name,
            self.shape(name) if shape is None else shape,
            scale,
            name if is_float and scale is not None else None,
            *bounds,
        )
        self.operations.append(operation)
        self._rehearsal.step(self.tensors, operation)
        return name

    def rename(self, new: str, old: Tensor) -> None:
        """State that the float tensor `new` has the numbers of `old`."""
        self._same[new] = old.name

    def mark(self) -> tuple[int, frozenset[int]]:
        """Where the network stands, for `undo`."""
        return len(self.operations), frozenset(self.done)

    def undo(self, mark: tuple[int, frozenset[int]]) -> None:
        """Take back what was added, and taken in, since the mark."""
        count, done = mark
        for operation in self.operations[count:]:
            del self.tensors[operation.output]
        del self.operations[count:]
        self.done = set(done)

    def told(self, node: onnx.NodeProto, notes: tuple[str, ...]) -> None:
        """Keep sentences about a node for the report."""
        self.notes.extend(f"{operator(node)} `{label(node)}`: {note}" for note in notes)

    def output(self, name: str) -> str:
        """The integer tensor of a network output. Raises Fault where it holds no reals."""
        found = self.tensors.get(self._same.get(name, name))
        if found is None or found.scale is None:
            raise Fault(f"output `{name}` is no computed real", "leave it out of the `outputs`")
        if name in (given.name for given in self.inputs):
            raise Fault(f"output `{name}` is an input", "leave it out of the `outputs`")
        return found.name

    def limit(self, indices: Tensor, rows: int) -> None:
        """State that indices pick from so many rows."""
        high = min(indices.high, rows - 1)
        self.tensors[indices.name] = dataclasses.replace(indices, high=high)

    def fresh(self, hint: str) -> str:
        """A name for a tensor that the float graph does not have."""
        return self.graph.fresh_tensor(hint)

    def aligned(
        self,
        node: onnx.NodeProto,
        x: Tensor,
        scale: Fraction,
        limits: tuple[int, int] = (INT8_LOW, INT8_HIGH),
    ) -> Tensor:
        """x at another scale, coarser or the same."""
        assert x.scale is not None
        if self.options.is_unsigned:
            return x if x.scale == scale else self._multiplied(x, scale, limits)
        shift = self.shift_between(node, x.scale, scale)
        if shift == 0:
            return x
        if shift < 0:
            raise ValueError("a shift to the right can't make a scale finer")
        name = self.fresh(f"{x.name}/aligned")
        self.add(Requantize(name, x.name, self.rescale(shift)), scale, x.shape, is_float=False)
        return self.tensors[name]

    def _multiplied(self, x: Tensor, scale: Fraction, limits: tuple[int, int]) -> Tensor:
        assert x.scale is not None
        (factor,), shift = common_factors([scale / x.scale], [peak_of(x)])
        multiplier = None if factor == 1 else np.array(factor, np.int64)
        rescale = self.rescale(shift, None, scale, multiplier, limits)
        name = self.fresh(f"{x.name}/aligned")
        self.add(Requantize(name, x.name, rescale), scale, x.shape, is_float=False)
        return self.tensors[name]

    def real(self, node: onnx.NodeProto, position: int = 0) -> tuple[Tensor, Fraction]:
        """A tensor that holds reals, and its scale. Raises Fault on indices."""
        found = self.tensor(node, position)
        if found.scale is None:
            raise self.fault(node, f"computes with the indices `{found.name}`", "make them float")
        return found, found.scale
