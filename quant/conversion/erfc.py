"""Erfc, which ONNX does not have and tf2onnx leaves in the graph, by Erf."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from quant.graph.names import all_names, free_name
from quant.graph.operators import OWN_DOMAINS


def write_out_erfc(model: onnx.ModelProto) -> None:
    """Put 1 - Erf(x) in the place of every Erfc(x) of float32 of the main graph, in place.

    Keras's exact gelu is one: x Erfc(-x / sqrt 2) / 2.
    """
    graph = model.graph
    if not any(_is_erfc(node) for node in graph.node):
        return
    taken = all_names(graph)
    one = free_name("one", taken)
    made = onnx.GraphProto()
    for node in graph.node:
        if not _is_erfc(node):
            made.node.append(node)
            continue
        erf = free_name(f"{node.output[0]}.erf", taken)
        taken.add(erf)
        made.node.append(helper.make_node("Erf", list(node.input), [erf], erf))
        made.node.append(helper.make_node("Sub", [one, erf], list(node.output), node.name))
    graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), one))
    del graph.node[:]
    graph.node.extend(made.node)


def _is_erfc(node: onnx.NodeProto) -> bool:
    return node.op_type == "Erfc" and node.domain in OWN_DOMAINS
