"""A float ONNX graph as an integer network."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import onnx

from quant.fault import Fault
from quant.fixed_point.calibration.ranges import Range
from quant.fixed_point.calibration.tuning import Tuning
from quant.fixed_point.lowering.lowering import Lowering
from quant.fixed_point.network import network
from quant.fixed_point.network.inputs import require_known
from quant.fixed_point.network.network import IndexInput, Network, Output, RealInput, Tensor
from quant.fixed_point.network.options import Options
from quant.fixed_point.network.scales import odd_part
from quant.fixed_point.operators import LOWERINGS
from quant.fixed_point.operators.floating import leave_in_float
from quant.graph.graph import Graph
from quant.graph.operators import label, operator
from quant.graph.types import input_types, require_static


def lower(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    options: Options,
    tuning: Tuning | None = None,
) -> Network:
    """The integer network of a float graph.

    model: see `prepare`, with static shapes. ranges: tensor -> what it was seen to hold, of every
    float tensor; not read with constant shifts. tuning: None rounds weights to nearest; not used
    with constant shifts or `truncate`. Raises Fault that names every operator which has no integer
    form, unless the options leave those in float.
    """
    graph = Graph(model, is_copied=False)
    types = input_types(model)
    require_static(types, "input", "declare the `shape` of every input in the recipe")
    require_known(types)
    if options.unsupported == "refuse":
        refuse_unknown(graph)
    lowering = Lowering(graph, ranges, options, _shapes(graph), tuning or Tuning())
    for name, type_ in types.items():
        _input(lowering, name, type_.dtype, type_.static_shape)
    lowering.factor = _factor(lowering)
    for node in graph.nodes:
        if node.op_type != "Constant" and id(node) not in lowering.done:
            _lower(lowering, node)
    return Network(
        tuple(lowering.inputs),
        tuple(_needed(lowering)),
        tuple(Output(name, lowering.output(name)) for name in graph.outputs),
        lowering.tensors,
        tuple(lowering.notes),
    )


def _lower(lowering: Lowering, node: onnx.NodeProto) -> None:
    """One node, in integers where that is possible."""
    if lowering.options.unsupported == "refuse":
        LOWERINGS[node.op_type](lowering, node)
        return
    known = LOWERINGS.get(operator(node))
    if known is None:
        leave_in_float(lowering, node)
        return
    before = lowering.mark()
    try:
        known(lowering, node)
    except Fault as fault:
        lowering.undo(before)
        leave_in_float(lowering, node, fault.what)


def refuse_unknown(graph: Graph) -> None:
    """Raise Fault that names each operator without an integer form, with its first node."""
    first: dict[str, str] = {}
    for node in graph.nodes:
        if node.op_type != "Constant" and operator(node) not in LOWERINGS:
            first.setdefault(operator(node), label(node))
    if first:
        named = ", ".join(f"{kind} (`{name}`)" for kind, name in first.items())
        raise Fault(
            f"no integer form of {named}",
            "cut the graph before it with the recipe's `outputs`, leave it in float with "
            "`unsupported: float`, or replace it by one of " + ", ".join(sorted(LOWERINGS)),
        )


def _shapes(graph: Graph) -> dict[str, Any]:
    names = [*graph.inputs, *(name for node in graph.nodes for name in node.output if name)]
    types = {name: graph.type(name) for name in names}
    return {name: type_.shape if type_ else None for name, type_ in types.items()}


def _input(lowering: Lowering, name: str, dtype: str, shape: tuple[int, ...]) -> None:
    if dtype == "float32":
        scale = lowering.options.input_scale(name)
        low, high = _input_limits(lowering, name)
        lowering.start(RealInput(name, name, scale), Tensor(name, shape, scale, name, low, high))
    else:
        limit = int(np.iinfo(np.int32).max)
        narrow = lowering.options.is_unsigned
        lowering.start(
            IndexInput(name, name, dtype, narrow), Tensor(name, shape, None, None, 0, limit)
        )


def _input_limits(lowering: Lowering, name: str) -> tuple[int, int]:
    """Without a sign where the data has none, such as pixels."""
    seen = lowering.ranges.get(name)
    limits = lowering.limits(name, seen is not None and seen.low >= 0)
    if limits[0] == 0:
        lowering.notes.append(
            f"input `{name}` was nowhere below 0 in the calibration data: its codes are 0 to 255, "
            "and what is below 0 becomes 0"
        )
    return limits


def _factor(lowering: Lowering) -> Fraction:
    """The odd part that all real inputs' scales share; 1 where they share none."""
    scales = [i.input_scale for i in lowering.inputs if isinstance(i, RealInput)]
    odd = {odd_part(scale) for scale in scales}
    return odd.pop() if len(odd) == 1 else Fraction(1)


def _needed(lowering: Lowering) -> list[network.Operation]:
    """The operations that an output needs, in order; drops the other tensors."""
    wanted = {lowering.output(name) for name in lowering.graph.outputs}
    kept: list[network.Operation] = []
    for operation in reversed(lowering.operations):
        if operation.output in wanted:
            wanted.update(network.reads(operation))
            kept.append(operation)
    inputs = {given.tensor for given in lowering.inputs}
    lowering.tensors = {n: t for n, t in lowering.tensors.items() if n in wanted | inputs}
    return kept[::-1]
