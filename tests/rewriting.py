"""Applying one rewrite rule to a graph, and what must hold whatever the rule."""

from __future__ import annotations

from typing import Any

import onnx

from quant.execution.compare import differences
from quant.execution.run import run_random
from quant.graph.check import check_graph
from quant.graph.graph import Graph
from quant.graph.types import output_types
from quant.rewrites.apply import Applied, apply
from quant.rewrites.rule import Rule
from quant.rewrites.table import RULES


def rewritten(rule: str, model: onnx.ModelProto) -> tuple[onnx.ModelProto, Applied]:
    require_own_operators(RULES[rule], model)
    graph = Graph(model)
    applied = apply(RULES[rule], graph)
    return graph.to_model(), applied


def require_own_operators(rule: Rule[Any], model: onnx.ModelProto) -> None:
    """Somebody else's operators may be called like ONNX's: they are none of a rule's business."""
    foreign = onnx.ModelProto()
    foreign.CopyFrom(model)
    foreign.opset_import.add(domain="elsewhere", version=1)
    for node in foreign.graph.node:
        node.domain = "elsewhere"
    applied = apply(rule, Graph(foreign))
    assert (applied.fired, applied.refused) == ((), ())


def require_the_same(rule: str, before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    """Valid ONNX with the same outputs, none further off than the rule of that name says."""
    require_same(RULES[rule], before, after)


def require_same(rule: Rule[Any], before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    """The same for a rule itself."""
    check_graph(after, full=True)
    assert output_types(after) == output_types(before)
    found = differences(run_random(before), run_random(after))
    assert max(found.values()) <= rule.rounding


def reasons(applied: Applied) -> list[tuple[str, str]]:
    return [(no.because_of, no.reason) for no in applied.refused]
