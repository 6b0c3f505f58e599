"""Mean and std of inputs that rknn-toolkit2 would ignore, as nodes of the graph.

rknn-toolkit2 2.3.2 and 2.5.0 apply `mean_values` and `std_values` to 4-D inputs alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from quant.fault import Fault
from quant.graph.graph import Graph
from quant.graph.names import uses
from quant.samples.input import Input
from quant.samples.normalize import along_channels

Told = Mapping[str, Input]  # of each name, what the recipe says: its mean and std count


def ignored(shapes: Mapping[str, Sequence[Any] | None], told: Told) -> list[str]:
    """Inputs with a mean or std that are not 4-D, in the order of `shapes`."""
    return [
        name
        for name, shape in shapes.items()
        if told.get(name, Input()).is_normalized and len(shape or ()) != 4
    ]


def normalized(model: onnx.ModelProto, names: Sequence[str], told: Told) -> onnx.ModelProto:
    """A copy that takes raw values at the named inputs: (x - mean) / std by a Sub and a Div.

    In the arithmetic of `normalize`, so the float outputs are the same bit for bit. Raises Fault on
    an input that is not float32.
    """
    graph = Graph(model)
    made = graph.to_model()
    for name in reversed(names):
        type_ = graph.type(name)
        if type_ is None or type_.dtype != "float32":
            raise Fault(
                f"input `{name}` is {type_.dtype if type_ else 'of no known type'}, and has a mean "
                "or std",
                "delete its mean and std: they are for float32 inputs",
            )
        shape = tuple(type_.shape or ())
        _insert(made.graph, name, dict(_constants(told[name], shape)), graph)
    return made


def _constants(told: Input, shape: Sequence[Any]) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Operator -> its constant."""
    for operator, key, values in (("Sub", "mean", told.mean), ("Div", "std", told.std)):
        if values is not None:
            yield operator, along_channels(values, tuple(shape), key, 1)


def _insert(
    made: onnx.GraphProto, name: str, constants: Mapping[str, np.ndarray[Any, Any]], graph: Graph
) -> None:
    """Between an input and all that reads it. Raises Fault where a graph in a node does."""
    end = graph.fresh_tensor(f"{name}_normalized")
    for node in made.node:
        if name in uses(node) - set(node.input):
            raise Fault(
                f"input `{name}` has a mean or std, and is read inside the {node.op_type} "
                f"`{node.name}`",
                "delete its mean and std, and give normalised data",
            )
    for node in made.node:
        node.input[:] = [end if one == name else one for one in node.input]
    reads = name
    nodes: list[onnx.NodeProto] = []
    for operator, values in constants.items():
        constant = graph.fresh_tensor(f"{name}_{operator.lower()}")
        made.initializer.append(numpy_helper.from_array(values, constant))
        last = len(nodes) == len(constants) - 1
        writes = end if last else graph.fresh_tensor(f"{name}_centred")
        nodes.append(helper.make_node(operator, [reads, constant], [writes], writes))
        reads = writes
    for place, node in enumerate(nodes):
        made.node.insert(place, node)
