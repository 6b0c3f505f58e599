"""Renaming a graph's inputs and outputs, and choosing among its tensors what to put out."""

from __future__ import annotations

from collections.abc import Container, Mapping, MutableSequence, Sequence
from typing import TypeVar

import onnx
from onnx import shape_inference

from quant.fault import Fault
from quant.graph.operators import nodes, subgraphs
from quant.nearest import nearest

Item = TypeVar("Item")


def rename(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Rename tensors everywhere, in place: old name -> new.

    A tensor that bears a new name already, and keeps it not, makes way under another one.
    """
    taken = all_names(model.graph)
    moves = {old: new for old, new in names.items() if old != new}
    for new in list(moves.values()):
        if new in taken and new not in moves:
            moves[new] = free_name(new, taken | set(moves.values()))
    rename_in(model.graph, moves)


def free_name(hint: str, taken: Container[str]) -> str:
    """`hint`, or where that is taken, `hint` with a number."""
    name, number = hint, 1
    while name in taken:
        name, number = f"{hint}_{number}", number + 1
    return name


def all_names(graph: onnx.GraphProto) -> set[str]:
    """Names of all tensors, those of subgraphs too."""
    named = {v.name for v in (*graph.input, *graph.output, *graph.initializer)}
    for node in nodes(graph):
        named |= {*node.input, *node.output}
        for inner in subgraphs(node):
            named |= {v.name for v in (*inner.input, *inner.output, *inner.initializer)}
    return named


def rename_in(graph: onnx.GraphProto, moves: Mapping[str, str]) -> None:
    """Rename tensors of a graph and its subgraphs, in place, whatever bears the new names."""
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = moves.get(value.name, value.name)
    for sparse in graph.sparse_initializer:
        sparse.values.name = moves.get(sparse.values.name, sparse.values.name)
    for node in graph.node:
        node.input[:] = [moves.get(name, name) for name in node.input]
        node.output[:] = [moves.get(name, name) for name in node.output]
        for inner in subgraphs(node):
            rename_in(inner, moves)


def select_outputs(model: onnx.ModelProto, names: Sequence[str]) -> None:
    """Make `names` the graph's outputs, in this order, in place; drop what they don't need.

    Each may be a present output or any tensor that a node makes. Raises Fault on other names,
    with the nearest in its advice.
    """
    known = {value.name: value for value in model.graph.output}
    made = {name for node in model.graph.node for name in node.output if name}
    for name in names:
        if name not in made and name not in known:
            near = nearest(name, [*known, *made])
            advice = f"did you mean `{near}`?" if near else f"its outputs: {', '.join(known)}"
            raise Fault(f"the graph has no tensor `{name}` to put out", advice)
    if any(name not in known for name in names):
        inferred = shape_inference.infer_shapes(model, data_prop=True)
        known |= {v.name: v for v in inferred.graph.value_info if v.name not in known}
    chosen = [_copied(known.get(name), name) for name in names]
    del model.graph.output[:]
    model.graph.output.extend(chosen)
    drop_unneeded(model)


def _copied(value: onnx.ValueInfoProto | None, name: str) -> onnx.ValueInfoProto:
    if value is None:
        raise Fault(
            f"the type of the tensor `{name}` cannot be inferred, so it cannot be an output",
            "choose a tensor before or after it",
        )
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    return copy


def drop_unneeded(model: onnx.ModelProto, keep_inputs: bool = False) -> None:
    """Remove nodes, weights, inputs and value infos that no output depends on, in place."""
    graph = model.graph
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed |= uses(node)
    kept.reverse()
    _replace(graph.node, kept)
    _replace(graph.initializer, [t for t in graph.initializer if t.name in needed])
    if not keep_inputs:
        _replace(graph.input, [v for v in graph.input if v.name in needed])
    alive = {name for node in kept for name in node.output}
    _replace(graph.value_info, [v for v in graph.value_info if v.name in alive])


def uses(node: onnx.NodeProto) -> set[str]:
    """Names of the tensors a node reads, what its subgraphs take from outside included."""
    read = {name for name in node.input if name}
    for inner in subgraphs(node):
        own = {v.name for v in (*inner.input, *inner.initializer)}
        own |= {name for other in inner.node for name in other.output}
        wanted = {value.name for value in inner.output}
        wanted |= {name for other in inner.node for name in uses(other)}
        read |= wanted - own
    return read


def _replace(field: MutableSequence[Item], kept: Sequence[Item]) -> None:
    if len(kept) < len(field):
        del field[:]
        field.extend(kept)
