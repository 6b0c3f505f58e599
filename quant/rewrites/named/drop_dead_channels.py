"""The rule that drops channels which are the same number for every input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import onnx

from quant.graph.analysis.channel_bounds import Bounds, bounds_of, is_depthwise
from quant.graph.graph import Array, Graph, attribute
from quant.graph.operators import OWN_DOMAINS
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 20

_BETWEEN = ("Relu", "Clip")


@dataclass(frozen=True)
class DeadMatch(Match):
    """nodes: the Conv that reads the channels, the nodes before it, and last the Conv that makes
    them. values: per channel what it always is; NaN where it is none."""

    values: npt.NDArray[np.float64]

    @property
    def reader(self) -> onnx.NodeProto:
        return self.nodes[0]

    @property
    def maker(self) -> onnx.NodeProto:
        return self.nodes[-1]


class DropDeadChannels(Rule[DeadMatch]):
    """Drops channels between two Convs that are the same number, mostly 0, whatever the input is.

    Training leaves such channels: their weights are 0 or 1e-30, and the Relu after them never lets
    anything through. What one is, is proven by bounds of every channel, through Relu, Clip and
    depthwise Convs, for inputs of a magnitude up to 65,536 after mean and std; it is then left out
    of the Conv that makes it and of the Conv that reads it. A constant that is not 0 goes into the
    reader's bias, and stays where that Conv pads.

    Exact but for rounding: the sums of the reader have fewer terms, which may be added in another
    order, and constants are added in float64 and rounded once.
    """

    rounding = 2.0**-10  # what one layer's rounding becomes depends on all that follow it

    def matches(self, graph: Graph) -> Iterator[DeadMatch]:
        bounds = bounds_of(graph)
        for node in graph.nodes:
            chain = _chain(graph, node)
            if chain is None:
                continue
            values = _constant_channels(bounds, node)
            if len(values) > 1 and np.isfinite(values).any():  # of all dead ones, one stays
                yield DeadMatch(chain, values)

    def check(self, graph: Graph, match: DeadMatch) -> Verdict:
        reader = match.reader
        for node in match.nodes:
            named = [name for name in node.input[1:] if name]
            if any(graph.constant(name) is None for name in named):
                return Verdict.no(f"the {node.op_type} has weights or bounds that vary", node)
        for node in match.nodes[1:]:
            if graph.is_output(node.output[0]):
                return Verdict.no(f"the output of the {node.op_type} is one of the graph's", node)
            readers = graph.consumers(node.output[0])
            if len(readers) > 1:
                return Verdict.no(f"another {readers[-1].op_type} reads the channels", readers[-1])
        if not _dropped(graph, match).any():
            return Verdict.no("the Conv pads with zeros, and the constant is not 0", reader)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: DeadMatch) -> tuple[onnx.NodeProto, ...]:
        kept = ~_dropped(graph, match)
        made = [_reader(graph, match, kept)]
        made += [_sliced(graph, node, kept) for node in match.nodes[1:]]
        made.reverse()
        graph.replace(match.nodes, made)
        return tuple(made)


def _chain(graph: Graph, reader: onnx.NodeProto) -> tuple[onnx.NodeProto, ...] | None:
    """The Conv, and what stands between it and the Conv that makes its channels, and that."""
    if not _is_full(reader):
        return None
    found = [reader]
    while (node := graph.producer(found[-1].input[0])) is not None:
        found.append(node)
        if _is_full(node):
            return tuple(found)
        if node.domain not in OWN_DOMAINS or not (
            node.op_type in _BETWEEN or is_depthwise(graph, node)
        ):
            return None
    return None


def _is_full(node: onnx.NodeProto) -> bool:
    is_conv = node.op_type == "Conv" and node.domain in OWN_DOMAINS
    return is_conv and attribute(node, "group", 1) == 1


def _constant_channels(bounds: Bounds, reader: onnx.NodeProto) -> npt.NDArray[np.float64]:
    found = bounds.get(reader.input[0])
    if found is None:
        return np.empty(0)
    low, high = found
    # float32 does not tell numbers apart that are nearer than this.
    is_one = high - low <= 2.0**-24 * np.minimum(np.abs(low), np.abs(high))
    return np.where(is_one, (low + high) / 2, np.nan)


def _dropped(graph: Graph, match: DeadMatch) -> npt.NDArray[np.bool_]:
    """Per channel whether it goes; one stays where all would."""
    pads = cast(Sequence[int], attribute(match.reader, "pads", [0]))
    is_padded = any(pads) or attribute(match.reader, "auto_pad", "NOTSET") not in (
        "NOTSET",
        "VALID",
    )
    gone: npt.NDArray[np.bool_] = match.values == 0 if is_padded else np.isfinite(match.values)
    if gone.all():
        gone = gone.copy()
        gone[0] = False
    return gone


def _reader(graph: Graph, match: DeadMatch, kept: npt.NDArray[np.bool_]) -> onnx.NodeProto:
    """The Conv without its inputs that are gone; what they added is in its bias."""
    reader = match.reader
    weight = _constant(graph, reader.input[1])
    gone = np.where(kept, 0.0, match.values)
    sums = weight.astype(np.float64).sum(axis=tuple(range(2, weight.ndim)))
    moved = sums[:, ~kept] @ gone[~kept]
    made = onnx.NodeProto()
    made.CopyFrom(reader)
    name = f"{reader.output[0]}.weight"
    made.input[1] = graph.add_constant(name, np.ascontiguousarray(weight[:, kept]))
    if moved.any():
        bias = _constant(graph, reader.input[2]) if _has_bias(reader) else np.zeros(len(moved))
        total = (bias.astype(np.float64) + moved).astype(weight.dtype)
        made.input[2:] = [graph.add_constant(f"{reader.output[0]}.bias", total)]
    return made


def _sliced(graph: Graph, node: onnx.NodeProto, kept: npt.NDArray[np.bool_]) -> onnx.NodeProto:
    """A node between, or the Conv that makes the channels, without those that are gone."""
    made = onnx.NodeProto()
    made.CopyFrom(node)
    if node.op_type != "Conv":
        return made
    for place, name in enumerate(node.input[1:], 1):
        if name:
            hint = f"{node.output[0]}.{'weight' if place == 1 else 'bias'}"
            values = np.ascontiguousarray(_constant(graph, name)[kept])
            made.input[place] = graph.add_constant(hint, values)
    if is_depthwise(graph, node):
        for held in made.attribute:
            if held.name == "group":
                held.i = int(kept.sum())
    return made


def _has_bias(node: onnx.NodeProto) -> bool:
    return len(node.input) > 2 and bool(node.input[2])


def _constant(graph: Graph, name: str) -> Array:
    value = graph.constant(name)
    if value is None:
        raise ValueError(f"`{name}` is not constant, though `check` found it so")
    return value
