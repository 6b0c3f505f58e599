"""Which TFLite tensors the ONNX model puts out, and how they are called."""

from __future__ import annotations

from collections.abc import Sequence

from quant.fault import Fault
from quant.nearest import nearest
from quant.tflite.building.graph import Graph

Chosen = tuple[int, str]  # tensor index, name in ONNX


def choose_outputs(graph: Graph, wanted: Sequence[str]) -> list[Chosen]:
    """The file's own outputs in its order, or any computed tensors that a recipe names.

    A name is the tensor's, the tensor's as made valid for ONNX, or the signature's; the ONNX
    output gets it. Raises Fault on a name that the file doesn't have.
    """
    if not wanted:
        return [(index, graph.label(index)) for index in graph.outputs]
    made = [index for op in graph.ops for index in op.outputs]
    known = {graph.label(i): i for i in reversed(made)}
    known.update({alias: i for alias, i in graph.aliases.items() if i in graph.outputs})
    known.update({graph.tensors[i].name: i for i in reversed(made)})
    for name in wanted:
        if name not in known:
            raise unknown_output(graph, name, list(known))
    return [(known[name], name) for name in wanted]


def unknown_output(graph: Graph, name: str, known: Sequence[str]) -> Fault:
    near = nearest(name, known)
    listing = ", ".join(f"`{graph.tensors[i].name}`" for i in graph.outputs)
    advice = f"did you mean `{near}`? " if near else ""
    return Fault(
        f"the TFLite file computes no tensor `{name}`", f"{advice}the file's outputs are {listing}"
    )
