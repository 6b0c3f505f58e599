"""Constants as initializers: Constant nodes, and what is computed from constants and shapes."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from quant.execution.run import FloatRun
from quant.fixed_point.preparing.edit import is_a
from quant.graph.graph import Graph, attribute
from quant.graph.names import drop_unneeded, uses
from quant.graph.operators import OWN_DOMAINS, subgraphs

Array = NDArray[Any]
_RANDOM = {
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
}  # fmt: skip


def fold_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with an initializer for each tensor that no input changes.

    A Shape or Size is known where its tensor's shape is. Nodes that make an output stay.
    """
    graph = Graph(model)
    known = _known_shapes(graph)
    weights = {tensor.name for tensor in model.graph.initializer} - set(graph.inputs)
    folded = _foldable(graph, known, weights)
    if not folded:
        return model
    kept = [node for node in graph.nodes if id(node) not in {id(one) for one in folded}]
    made = {name for node in folded for name in node.output if name}
    wanted = sorted(made & set().union(*(uses(node) for node in kept)))
    values = _computed(graph, folded, wanted, known)
    result = graph.to_model()
    del result.graph.node[:]
    result.graph.node.extend(kept)
    result.graph.initializer.extend(numpy_helper.from_array(values[n], n) for n in wanted)
    drop_unneeded(result, keep_inputs=True)
    return result


def _known_shapes(graph: Graph) -> dict[str, Array]:
    """Output of a Shape or Size node -> its value, where the shape is static."""
    found: dict[str, Array] = {}
    for node in graph.nodes:
        if not is_a(node, "Shape", "Size"):
            continue
        value = graph.constant(node.input[0])
        type_ = graph.type(node.input[0])
        if value is None and (type_ is None or not type_.is_static):
            continue
        shape = value.shape if value is not None else type_.static_shape if type_ else ()
        found[node.output[0]] = _shape_value(node, shape)
    return found


def _shape_value(node: onnx.NodeProto, shape: tuple[int, ...]) -> Array:
    if node.op_type == "Size":
        return np.array(int(np.prod(shape, dtype=np.int64)), np.int64)
    start, end = (cast("int | None", attribute(node, name)) for name in ("start", "end"))
    return np.array(shape[slice(start, end)], np.int64)


def _foldable(graph: Graph, known: dict[str, Array], weights: set[str]) -> list[onnx.NodeProto]:
    found: list[onnx.NodeProto] = []
    constant = set(known) | weights
    for node in graph.nodes:
        reads_constants = all(name in constant for name in node.input if name)
        is_fixed = node.output[0] in known or (
            reads_constants
            and node.domain in OWN_DOMAINS
            and node.op_type not in _RANDOM
            and not any(True for _ in subgraphs(node))
        )
        if is_fixed and not any(map(graph.is_output, node.output)):
            found.append(node)
            constant.update(node.output)
    return found


def _computed(
    graph: Graph, folded: list[onnx.NodeProto], wanted: list[str], known: dict[str, Array]
) -> dict[str, Array]:
    """The values of `wanted`; what is no Constant node is run in onnxruntime."""
    values: dict[str, Array] = {}
    for name in wanted:
        value = known.get(name, graph.constant(name))
        if value is not None:
            values[name] = np.asarray(value)
    missing = [name for name in wanted if name not in values]
    if missing:
        values |= _run(graph, folded, missing, known)
    return values


def _run(
    graph: Graph, folded: list[onnx.NodeProto], wanted: list[str], known: dict[str, Array]
) -> dict[str, Array]:
    model = graph.to_model()
    body = model.graph
    del body.node[:], body.input[:], body.output[:]
    body.node.extend(node for node in folded if node.output[0] not in known)
    body.initializer.extend(numpy_helper.from_array(v, name) for name, v in known.items())
    for name in wanted:
        body.output.add().name = name
    drop_unneeded(model)
    return dict(FloatRun(model)({}))
