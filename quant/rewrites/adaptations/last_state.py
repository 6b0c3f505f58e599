"""The rule that reads a recurrent layer's last state where that stands among all of its states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx

from quant.graph.graph import Graph, attribute
from quant.graph.operators import OWN_DOMAINS
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 10

_STEPS, _DIRECTION = 0, 1  # axes of Y: [steps, directions, batch, hidden]
_LENGTHS = 4  # input: how many steps each sequence has
_END = 2**31 - 1


class LastState(Rule[Match]):
    """Reads the last state of a GRU or RNN, `Y_h`, from the states of all steps, `Y`.

    rknn-toolkit2 refuses these where only `Y_h` is read, as classifiers do it. The last state of
    the forward direction is the last step of `Y`, that of the backward direction the first.
    On rk3588 a GRU with 16 states over 4 steps is 147,429 bytes so.

    Exact: the outputs are identical bit for bit, for they are the same numbers at another place.
    """

    rounding = 0.0

    def matches(self, graph: Graph) -> Iterator[Match]:
        for node in graph.nodes:
            if node.op_type not in ("GRU", "RNN") or node.domain not in OWN_DOMAINS:
                continue
            if is_read(graph, node, 1) and not is_read(graph, node, 0):
                yield Match((node,))

    def check(self, graph: Graph, match: Match) -> Verdict:
        (node,) = match.nodes
        if attribute(node, "layout", 0) != 0:
            return Verdict.no("its batch stands first (`layout` is 1)", node)
        if len(node.input) > _LENGTHS and node.input[_LENGTHS]:
            return Verdict.no("its sequences have lengths of their own (`sequence_lens`)", node)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: Match) -> tuple[onnx.NodeProto, ...]:
        (node,) = match.nodes
        last = node.output[1]
        made = onnx.NodeProto()
        made.CopyFrom(node)
        states = node.output[0] or graph.fresh_tensor(f"{last}.states")
        made.output[:] = [states]
        steps = _last_steps(graph, states, str(attribute(node, "direction", "forward")), last)
        squeeze = _squeeze(graph, steps[-1].output[0], last)
        graph.replace(match.nodes, [made, *steps, squeeze])
        return (made, *steps, squeeze)


def is_read(graph: Graph, node: onnx.NodeProto, index: int) -> bool:
    """Whether a node has that output and somebody reads it."""
    name = node.output[index] if index < len(node.output) else ""
    return bool(name) and (graph.is_output(name) or bool(graph.consumers(name)))


def _last_steps(graph: Graph, states: str, direction: str, hint: str) -> list[onnx.NodeProto]:
    """Nodes that make [1, directions, batch, hidden] of all states."""
    if direction == "forward":
        return [_slice(graph, states, [(_STEPS, -1, _END)], f"{hint}.forward")]
    if direction == "reverse":
        return [_slice(graph, states, [(_STEPS, 0, 1)], f"{hint}.backward")]
    forward = _slice(graph, states, [(_STEPS, -1, _END), (_DIRECTION, 0, 1)], f"{hint}.forward")
    backward = _slice(graph, states, [(_STEPS, 0, 1), (_DIRECTION, 1, 2)], f"{hint}.backward")
    parts = [forward.output[0], backward.output[0]]
    joined = graph.fresh_tensor(f"{hint}.joined")
    concat = onnx.helper.make_node("Concat", parts, [joined], f"{hint}.joined", axis=_DIRECTION)
    return [forward, backward, concat]


def _squeeze(graph: Graph, tensor: str, made: str) -> onnx.NodeProto:
    """Takes the axis of steps away, which is 1 long."""
    name = f"{made}.last"
    if graph.opset < 13:
        return onnx.helper.make_node("Squeeze", [tensor], [made], name, axes=[_STEPS])
    axes = graph.add_constant(f"{made}.axes", np.array([_STEPS], np.int64))
    return onnx.helper.make_node("Squeeze", [tensor, axes], [made], name)


def _slice(
    graph: Graph, tensor: str, ranges: Sequence[tuple[int, int, int]], hint: str
) -> onnx.NodeProto:
    """ranges: (axis, start, end)."""
    axes, starts, ends = [list(one) for one in zip(*ranges, strict=True)]
    made = graph.fresh_tensor(hint)
    if graph.opset < 10:
        return onnx.helper.make_node(
            "Slice", [tensor], [made], hint, axes=axes, starts=starts, ends=ends
        )
    given = [
        graph.add_constant(f"{made}.{name}", np.array(values, np.int64))
        for name, values in (("starts", starts), ("ends", ends), ("axes", axes))
    ]
    return onnx.helper.make_node("Slice", [tensor, *given], [made], hint)
