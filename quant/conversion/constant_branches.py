"""Taking the branch of an If whose condition is known, and with it what the other one needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from quant.execution.run import FloatRun
from quant.fault import Fault
from quant.graph.graph import Graph, attribute
from quant.graph.names import all_names, drop_unneeded, free_name, rename_in, uses
from quant.graph.operators import OWN_DOMAINS, label, subgraphs

# What a condition may be computed from is small; nothing else is worth running.
_MOST_ELEMENTS = 1 << 16


def take_known_branches(model: onnx.ModelProto) -> list[str]:
    """Put the branch in the place of every If that always takes it, in place.

    A condition is known where it depends on weights, and on shapes that inference knows. Returns a
    sentence for each. Ifs inside of a branch follow once that has been taken.
    """
    said = []
    while (found := next(_known(model), None)) is not None:
        branch = "then" if found.is_then else "else"
        said.append(f"If `{label(found.node)}` always takes its {branch} branch")
        _take(model, found)
    if said:
        drop_unneeded(model, keep_inputs=True)
        del model.graph.value_info[:]
    return said


@dataclass(frozen=True)
class _Known:
    """place: of the If among the graph's nodes."""

    place: int
    node: onnx.NodeProto
    is_then: bool


def _known(model: onnx.ModelProto) -> Iterator[_Known]:
    places = [
        (place, node)
        for place, node in enumerate(model.graph.node)
        if node.op_type == "If" and node.domain in OWN_DOMAINS
    ]
    graph = Graph(model, is_copied=False) if places else None
    for place, node in places:
        value = _value(model, graph, node.input[0]) if graph else None
        if value is not None:
            yield _Known(place, node, value)


def _value(model: onnx.ModelProto, graph: Graph, tensor: str) -> bool | None:
    """A condition's value; None where it depends on data."""
    constant = graph.constant(tensor)
    if constant is not None:
        return bool(constant.ravel()[0])
    nodes = _needed(graph, tensor)
    if nodes is None:
        return None
    part = onnx.ModelProto()
    part.ir_version = model.ir_version
    part.opset_import.extend(model.opset_import)
    part.graph.name = "condition"
    part.graph.node.extend(nodes)
    part.graph.output.append(
        onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.BOOL, None)
    )
    read = {name for node in nodes for name in uses(node)}
    part.graph.initializer.extend(t for t in model.graph.initializer if t.name in read)
    try:
        return bool(np.ravel(FloatRun(part)({})[tensor])[0])
    except Fault:
        return None  # what onnxruntime can't run stays as it is


def _needed(graph: Graph, tensor: str) -> list[onnx.NodeProto] | None:
    """The nodes that make a tensor from weights and known shapes alone, in order; else None."""
    chosen: dict[int, onnx.NodeProto] = {}
    left, seen = [tensor], set[str]()
    while left:
        name = left.pop()
        node = graph.producer(name)
        if name in seen or _is_small_weight(graph, name):
            continue
        if node is None or any(subgraphs(node)):
            return None
        seen.add(name)
        shape = _shape(graph, node)
        chosen[id(node)] = node if shape is None else shape
        left += uses(node) if shape is None else ()
    return [chosen[id(node)] for node in graph.nodes if id(node) in chosen]


def _is_small_weight(graph: Graph, name: str) -> bool:
    value = graph.constant(name) if graph.producer(name) is None else None
    return value is not None and value.size <= _MOST_ELEMENTS


def _shape(graph: Graph, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """A Constant in the place of a Shape or Size of a tensor whose shape is known."""
    if node.op_type not in ("Shape", "Size") or node.domain not in OWN_DOMAINS:
        return None
    type_ = graph.type(node.input[0])
    if type_ is None or not type_.is_static:
        return None
    shape = np.array(type_.static_shape, np.int64)
    value = np.array(shape.prod(), np.int64) if node.op_type == "Size" else shape[_part(node)]
    return onnx.helper.make_node(
        "Constant", [], list(node.output), value=numpy_helper.from_array(value)
    )


def _part(node: onnx.NodeProto) -> slice:
    start, end = attribute(node, "start", 0), attribute(node, "end")
    return slice(start, end)


def _take(model: onnx.ModelProto, known: _Known) -> None:
    """Put the branch's nodes and weights among those of the graph, renamed where names clash."""
    graph, node = model.graph, known.node
    wanted = "then_branch" if known.is_then else "else_branch"
    branch = onnx.GraphProto()
    branch.CopyFrom(next(held.g for held in node.attribute if held.name == wanted))
    _rename_apart(branch, graph, known.place)
    ends = [
        onnx.helper.make_node("Identity", [value.name], [name], f"{name}.taken")
        for value, name in zip(branch.output, node.output, strict=True)
        if name
    ]
    nodes = [*graph.node[: known.place], *branch.node, *ends, *graph.node[known.place + 1 :]]
    kept = onnx.GraphProto(node=nodes)  # a copy: the nodes go with the list that holds them
    del graph.node[:]
    graph.node.extend(kept.node)
    graph.initializer.extend(branch.initializer)


def _rename_apart(branch: onnx.GraphProto, graph: onnx.GraphProto, place: int) -> None:
    """Give what the branch makes other names where the rest of the graph has them too."""
    others = onnx.GraphProto()
    others.CopyFrom(graph)
    del others.node[place]
    taken = all_names(others)
    made = {tensor.name for tensor in branch.initializer}
    made |= {name for inner in branch.node for name in inner.output if name}
    moves = {}
    for name in sorted(made & taken):
        moves[name] = free_name(name, taken | made)
        taken.add(moves[name])
    rename_in(branch, moves)
