"""What became of a graph: operators, parameters, bytes, and the shape chains that went away."""

from __future__ import annotations

from typing import Any

import onnx

from quant.graph.analysis.shape_chains import ShapeChain, shape_chains
from quant.graph.graph import Graph
from quant.graph.light import byte_size
from quant.graph.operators import nodes, operator_counts
from quant.graph.weights import parameter_count


def graph_changes(before: onnx.ModelProto, after: onnx.ModelProto) -> dict[str, Any]:
    """JSON data that says how two versions of a network differ as graphs.

    Every count is there before and after. `shape_chains.removed` lists the chains of `before` of
    which no tensor is left, `left` those of `after`.
    """
    sides = (before, after)
    return {
        "operators": _pair(*map(operator_counts, sides)),
        "nodes": _pair(*(sum(1 for _ in nodes(model.graph)) for model in sides)),
        "parameters": _pair(*map(parameter_count, sides)),
        "bytes": _pair(*map(byte_size, sides)),
        "shape_chains": _shape_chains(before, after),
    }


def _pair(before: Any, after: Any) -> dict[str, Any]:
    return {"before": before, "after": after}


def _shape_chains(before: onnx.ModelProto, after: onnx.ModelProto) -> dict[str, Any]:
    still = {name for node in after.graph.node for name in node.output}
    chains = shape_chains(Graph(before, is_copied=False))
    removed = [chain for chain in chains if not still.intersection(chain.tensors)]
    left = shape_chains(Graph(after, is_copied=False))
    return {
        **_pair(len(chains), len(left)),
        "removed": [_described(chain) for chain in removed],
        "left": [_described(chain) for chain in left],
    }


def _described(chain: ShapeChain) -> dict[str, Any]:
    return {
        "nodes": list(chain.nodes),
        "operators": dict(chain.operators),
        "shape_of": list(chain.shape_of),
        "made_by": list(chain.made_by),
        "consumer": chain.consumer,
        "consumer_operator": chain.consumer_operator,
        "input": chain.input,
    }
