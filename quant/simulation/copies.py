"""Copies of one network in one run: the float one, and how the NPU's numbers depart from it.

float   the network as it is
entire  every tensor rounded: errors add up from the input
single  every operator on the float network's tensors, rounded: its own error alone
fed     the float network's tensors, rounded, which `single` reads
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from quant.graph.graph import Graph
from quant.simulation import rounding
from quant.simulation.constants import Constants
from quant.simulation.host_operators import OPERATORS, Call
from quant.simulation.parameters import Parameters
from quant.simulation.parts import Part, can_round
from quant.simulation.step1 import Step1
from quant.simulation.unknown import Unknown

Array = npt.NDArray[Any]
FLOAT, ENTIRE, SINGLE, FED = "float", "entire", "single", "fed"
CONVERT = "exDataConvert"


def named(copy: str, tensor: str) -> str:
    return f"{copy}:{tensor}"


@dataclass(frozen=True)
class HostStep:
    """One operator of one copy, computed in numpy. constants: by the name of an input."""

    call: Call
    inputs: Sequence[str]
    output: str
    constants: Mapping[str, Array]

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        given = [
            self.constants[name] if name in self.constants else tensors[name]
            for name in self.inputs
        ]
        made = OPERATORS[self.call.node.op_type](self.call, given)
        return {self.output: np.ascontiguousarray(made, dtype=np.float32)}

    @property
    def made(self) -> set[str]:
        return {self.output}


Step = Part | HostStep


class Copies:
    """Collects the steps of a network's copies, node by node."""

    def __init__(
        self,
        graph: Graph,
        step1: Step1,
        copies: Sequence[str],
    ) -> None:
        self._graph = graph
        self._parameters = dict(step1.parameters)
        self._unrounded = rounding.unrounded(graph, step1.platform)
        self.hidden = rounding.hidden(graph, step1)
        self._constants = Constants(graph, step1)
        self._copies = copies
        self._values: dict[tuple[int, bool], Array | None] = {}  # of the node that is added
        self.steps: list[Step] = []

    def add(self, node: onnx.NodeProto) -> None:
        """Raises Unknown where the operator or the type of its output is."""
        require_known(node)
        self._values.clear()
        for tensor in node.output:
            grid = self.grid(tensor)
            if grid and not can_round(grid):
                raise Unknown(f"`{tensor}` is {grid.dtype}")
        for copy in self._copies:
            if node.op_type in OPERATORS:
                self._compute(node, copy)
            else:
                self._run(node, copy)
        for copy in self._copies:  # afterwards: between two of numpy's there is then no session
            for tensor in node.output:
                self._round(copy, tensor)

    def _part(self) -> Part:
        if not self.steps or not isinstance(self.steps[-1], Part):
            self.steps.append(Part(self._graph.opset))
        part = self.steps[-1]
        assert isinstance(part, Part)
        return part

    def _run(self, node: onnx.NodeProto, copy: str) -> None:
        part = self._part()
        inputs = []
        for place, name in enumerate(node.input):
            values = self._constant(node, place, copy)
            if values is None:
                inputs.append(self._read(copy, name, node.op_type))
            else:
                inputs.append(part.constant(self._constant_name(name, copy, values), values))
        made = onnx.NodeProto()
        made.CopyFrom(node)
        if node.op_type == CONVERT:
            made = helper.make_node("Identity", inputs, [""])
        del made.input[:], made.output[:]
        made.input.extend(inputs)
        made.output.extend(self._raw(copy, tensor) if tensor else "" for tensor in node.output)
        made.name = ""
        part.add(made)

    def _compute(self, node: onnx.NodeProto, copy: str) -> None:
        constants, inputs = {}, []
        for place, name in enumerate(node.input):
            values = self._constant(node, place, copy)
            inputs.append(name if values is not None else self._read(copy, name, node.op_type))
            if values is not None:
                constants[name] = values
        held = None if copy == FLOAT else self._parameters
        output = self._raw(copy, node.output[0])
        self.steps.append(HostStep(Call(node, held), inputs, output, constants))

    def _constant(self, node: onnx.NodeProto, place: int, copy: str) -> Array | None:
        """Where input number `place` is one; two copies that hold it alike share it."""
        key = (place, copy == FLOAT)
        if key not in self._values:
            self._values[key] = self._value(node, place, copy)
        return self._values[key]

    def _value(self, node: onnx.NodeProto, place: int, copy: str) -> Array | None:
        if copy != FLOAT:
            value = self._constant(node, place, FLOAT)
            return None if value is None else self._constants.held(node, place, value)
        found = self._graph.constant(node.input[place]) if node.input[place] else None
        return None if found is None else np.asarray(found)

    def _constant_name(self, name: str, copy: str, values: Array) -> str:
        return named("constant" if copy == FLOAT else "held", name)

    def grid(self, tensor: str) -> Parameters | None:
        """What a tensor is rounded to; None for one that is not."""
        held = self._parameters.get(tensor)
        is_rounded = held is not None and (held.is_integer or held.dtype == "float16")
        return held if is_rounded and tensor not in self._unrounded else None

    def _read(self, copy: str, tensor: str, reader: str) -> str:
        """The name under which a copy's node of type `reader` reads a tensor."""
        if not tensor:
            return ""
        if tensor in self._graph.inputs:
            return named(FLOAT, tensor)
        is_one_layer = tensor in self.hidden and reader in rounding.CUTS
        if copy == SINGLE and not is_one_layer:
            return named(FED if self.grid(tensor) else FLOAT, tensor)
        return named(copy, tensor)

    def _raw(self, copy: str, tensor: str) -> str:
        is_rounded = copy != FLOAT and self.grid(tensor)
        return named(copy, tensor) + (":raw" if is_rounded else "")

    def _round(self, copy: str, tensor: str) -> None:
        grid = self.grid(tensor)
        if grid is None:
            return
        if copy != FLOAT:
            self._part().round(self._raw(copy, tensor), named(copy, tensor), grid)
        elif SINGLE in self._copies and self._graph.consumers(tensor):
            self._part().round(named(FLOAT, tensor), named(FED, tensor), grid)


def require_known(node: onnx.NodeProto) -> None:
    is_own = node.op_type.startswith("ex") or node.domain not in ("", "ai.onnx")
    if is_own and node.op_type not in (CONVERT, *OPERATORS):
        raise Unknown(f"the operator {node.op_type}")
