"""A network of which some layers run in float16, for many choices of these layers.

A layer is what the NPU computes in one go: an operator with those that it takes in. Each has two
forms, int8 and float16, a session each. Tensors are kept between choices: of a choice that differs
from an earlier one in a layer, what comes after that layer is all that is computed.

In float16: inputs, weights and every operator's output are rounded to float16, biases are not,
nothing is taken in; who reads the result in int8 reads it on the tensor's int8 grid.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from quant.graph.graph import Graph
from quant.simulation import rounding
from quant.simulation.constants import Constants
from quant.simulation.copies import CONVERT, HostStep, Step, require_known
from quant.simulation.host_operators import OPERATORS, Call
from quant.simulation.parameters import Parameters
from quant.simulation.parts import Part
from quant.simulation.step1 import Step1
from quant.simulation.unknown import Unknown

Array = npt.NDArray[Any]
HALF = Parameters("float16")
# In float16 the SDK computes these otherwise; they stay int8.
INT8_ONLY = {"exSDPAttention", "exSoftmax13"}
# Constants that are not rounded beside float16.
KEPT = {("Conv", 2), ("ConvTranspose", 2), ("PRelu", 1)}


@dataclass(frozen=True)
class Tensor:
    """int8: as a reader in int8 takes it. half: as one in float16 does, before its own rounding."""

    int8: Array
    half: Array


@dataclass(frozen=True)
class Layer:
    """nodes: in the graph's order. tensors: what to name for the SDK. is_int8: in step 1."""

    nodes: Sequence[onnx.NodeProto]
    inputs: Sequence[str]
    outputs: Sequence[str]
    tensors: Sequence[str]
    is_int8: bool

    @property
    def can_be_half(self) -> bool:
        """Whether the choice is there, and its result known."""
        return self.is_int8 and not any(node.op_type in INT8_ONLY for node in self.nodes)


Key = tuple[Any, ...]
Names = dict[str, str]


@dataclass
class Kept:
    """Tensors by what they were made from, the oldest forgotten beyond a number of bytes."""

    limit: int
    _held: OrderedDict[Key, list[Tensor]] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def get(self, key: Key) -> list[Tensor] | None:
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
        return found

    def all(self) -> Iterable[list[Tensor]]:
        return self._held.values()

    def add(self, key: Key, made: list[Tensor]) -> None:
        self._held[key] = made
        self._bytes += _size(made)
        while self._bytes > self.limit and len(self._held) > 1:
            self._bytes -= _size(self._held.popitem(last=False)[1])


def _size(made: Sequence[Tensor]) -> int:
    return sum(one.int8.nbytes + (one.half.nbytes if one.half is not one.int8 else 0)
               for one in made)  # fmt: skip


class Mixed:
    """`layers` in order of execution; a call tells which of them run in float16."""

    def __init__(self, step1: Step1, kept_bytes: int = 1 << 30) -> None:
        """Raises Unknown."""
        self.graph = Graph(step1.model, is_copied=False)
        self._parameters = dict(step1.parameters)
        self._constants = Constants(self.graph, step1)
        self._unrounded = rounding.unrounded(self.graph, step1.platform)
        for node in self.graph.nodes:
            require_known(node)
        self.layers = list(self._grouped())
        self._first = {
            place: self._readers(layer.outputs[0])
            for place, layer in enumerate(self.layers)
            if layer.nodes[0].op_type == CONVERT and layer.inputs[0] in self.graph.inputs
        }
        self._steps: dict[tuple[int, bool], list[Step]] = {}
        self._kept = Kept(kept_bytes)

    def __call__(
        self, sample: int, inputs: Mapping[str, Array], half: Collection[int]
    ) -> dict[str, Array]:
        """Output name -> float32 array. sample: what tells these inputs from others.

        half: places in `layers`. Raises Unknown.
        """
        tensors = {name: Tensor(array, array) for name, array in inputs.items()}
        keys: dict[str, Key] = {name: (sample, name) for name in inputs}
        half = self._with_inputs(half)
        for place, layer in enumerate(self.layers):
            is_half = place in half
            key = (place, is_half, sample, hash(tuple(keys[name] for name in layer.inputs)))
            made = self._kept.get(key)
            if made is None:
                made = self._run(place, is_half, [tensors[name] for name in layer.inputs])
                self._kept.add(key, made)
            for name, tensor in zip(layer.outputs, made, strict=True):
                tensors[name], keys[name] = tensor, key
        return {name: tensors[name].half for name in self.graph.outputs}

    @property
    def elements(self) -> int:
        """Of all tensors that are kept."""
        return sum(one.half.size for made in self._kept.all() for one in made)

    def _with_inputs(self, half: Collection[int]) -> frozenset[int]:
        """Also the roundings of the network's inputs that nobody reads in int8."""
        return frozenset(half) | {
            place for place, readers in self._first.items() if readers and readers <= set(half)
        }

    def _readers(self, tensor: str) -> set[int]:
        return {place for place, layer in enumerate(self.layers) if tensor in layer.inputs}

    def _grouped(self) -> Iterator[Layer]:
        """Nodes with those that take them in, in the order of each layer's last node."""
        taken: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.nodes:
            own = [one for name in node.input for one in taken.pop(name, ())] + [node]
            if node.output[0] in self._unrounded:
                taken[node.output[0]] = own
            else:
                yield self._layer(own)

    def _layer(self, nodes: Sequence[onnx.NodeProto]) -> Layer:
        made = [name for node in nodes for name in node.output if name]
        inside = set(made) & self._unrounded
        reads = dict.fromkeys(
            name
            for node in nodes
            for name in node.input
            if name and name not in made and self.graph.constant_shape(name) is None
        )
        held = [name for name in made if self._is_int8(name)]
        is_whole = len(held) == len(made) and not any(n.op_type == CONVERT for n in nodes)
        outputs = [name for name in made if name not in inside]
        return Layer(nodes, list(reads), outputs, held, is_whole)

    def _is_int8(self, name: str) -> bool:
        held = self._parameters.get(name)
        return held is not None and held.dtype == "int8"

    def _run(self, place: int, is_half: bool, inputs: Sequence[Tensor]) -> list[Tensor]:
        layer = self.layers[place]
        if is_half and place in self._first:
            return [Tensor(inputs[0].half, HALF.rounded(inputs[0].half))]
        if (place, is_half) not in self._steps:
            self._steps[place, is_half] = self._made(layer, is_half)
        is_int8 = layer.is_int8 and not is_half
        arrays = {
            name: tensor.int8 if is_int8 else tensor.half
            for name, tensor in zip(layer.inputs, inputs, strict=True)
        }
        for step in self._steps[place, is_half]:
            arrays.update(step.run(arrays))
        return [
            Tensor(arrays[_int8(name)] if is_half else arrays[name], arrays[name])
            for name in layer.outputs
        ]

    def _made(self, layer: Layer, is_half: bool) -> list[Step]:
        """What computes a layer in one of its forms."""
        steps: list[Step] = []

        def part() -> Part:
            if not steps or not isinstance(steps[-1], Part):
                steps.append(Part(self.graph.opset))
            last = steps[-1]
            assert isinstance(last, Part)
            return last

        names = {name: name for name in layer.inputs}
        for name in layer.inputs if is_half else ():
            names[name] = f"{name}:half"
            part().round(name, names[name], HALF)
        for node in layer.nodes:
            grids = {name: HALF if is_half else self._grid(name) for name in node.output if name}
            raw = {name: f"{name}:raw" if grid else name for name, grid in grids.items()}
            if node.op_type in OPERATORS:
                steps.append(self._host_step(node, is_half, names, raw))
            else:
                self._add(part(), node, is_half, names, raw)
            for name, grid in grids.items():
                names[name] = name
                if grid:
                    part().round(raw[name], name, grid)
        for name in layer.outputs if is_half else ():
            part().round(name, _int8(name), self._parameters[name])
        _want(steps, [*layer.outputs, *(_int8(name) for name in layer.outputs if is_half)])
        return steps

    def _host_step(self, node: onnx.NodeProto, is_half: bool, names: Names, raw: Names) -> HostStep:
        constants = {
            name: values
            for place, name in enumerate(node.input)
            if (values := self._constant(node, place, is_half)) is not None
        }
        inputs = [name if name in constants else names[name] for name in node.input]
        call = Call(node, None if is_half else self._parameters)
        return HostStep(call, inputs, raw[node.output[0]], constants)

    def _add(
        self, part: Part, node: onnx.NodeProto, is_half: bool, names: Names, raw: Names
    ) -> None:
        made = onnx.NodeProto()
        made.CopyFrom(node)
        if node.op_type == CONVERT:
            made = onnx.helper.make_node("Identity", [""], [""])
        inputs = []
        for place, name in enumerate(node.input):
            values = self._constant(node, place, is_half)
            kept = None if values is None else part.constant(f"held:{name}", values)
            inputs.append(kept or names.get(name, name))
        del made.input[:], made.output[:]
        made.input.extend(inputs)
        made.output.extend(raw.get(name, name) for name in node.output)
        made.name = ""
        part.add(made)

    def _constant(self, node: onnx.NodeProto, place: int, is_half: bool) -> Array | None:
        name = node.input[place]
        values = self.graph.constant(name) if name else None
        if values is None:
            return None
        if not is_half:
            return self._constants.held(node, place, np.asarray(values))
        is_kept = values.dtype != np.float32 or (node.op_type, place) in KEPT
        return np.asarray(values) if is_kept else HALF.rounded(np.asarray(values))

    def _grid(self, tensor: str) -> Parameters | None:
        held = self._parameters.get(tensor)
        is_rounded = held is not None and (held.is_integer or held.dtype == "float16")
        if is_rounded and held is not None and held.dtype == "int16":
            raise Unknown(f"`{tensor}` is int16")
        return held if is_rounded and tensor not in self._unrounded else None


def _int8(name: str) -> str:
    return f"{name}:int8"


def _want(steps: Sequence[Step], outputs: Sequence[str]) -> None:
    """Have each session give what is read after it."""
    read = set(outputs)
    for step in reversed(steps):
        if isinstance(step, Part):
            step.wanted.update(dict.fromkeys(sorted(step.made & read)))
        read.update(step.inputs)
