"""The rule that divides outputs, or parts of them, so that one int8 range holds them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import onnx
from onnx import helper

from quant.graph.graph import Array, Graph, attribute
from quant.graph.types import TensorType
from quant.nearest import did_you_mean
from quant.rewrites.divided import FACTORS
from quant.rewrites.rule import Match, Rule, Verdict

PLACE = 30
_FLOATS = ("float16", "float32", "float64")


@dataclass(frozen=True)
class Output:
    """An output of the network. joined: it is a Concat's, whose inputs are `parts`."""

    name: str
    node: onnx.NodeProto
    joined: bool

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.node.input) if self.joined else ()


@dataclass(frozen=True)
class DivideMatch(Match):
    """nodes: the makers of `outputs`, those in which something is divided."""

    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class DivideOutputs(Rule[DivideMatch]):
    """Divides outputs, or parts of the Concats that make them, by the factors of `divide`.

    `simplify: {rewrite: [divide_outputs], divide: {boxes: 256}}`: boxes in pixels and scores of 0
    to 1 in one output have one int8 scale, and the scores are all 0; boxes divided by 256 leave the
    scores their levels. The output has another name, `y_divided` for `y`, since the program has to
    multiply again. `simplify/tail.onnx` does that, on the CPU; `metrics.json` and
    the handoff's sheet tell which places by what factor.

    Exact: factors are powers of two, so network and tail, one after the other, give the bits of the
    whole (but numbers below 1e-38). The program around the network gets other numbers: that is
    yours to choose.
    """

    saves_bytes = False
    rounding = 2.0**-100
    factors: Mapping[str, float] = field(default_factory=dict)

    def matches(self, graph: Graph) -> Iterator[DivideMatch]:
        if graph.tail is not None or not self.factors:
            return
        named = set(self.factors)
        outputs = [one for one in _outputs(graph) if named & {one.name, *one.parts}]
        nodes = tuple(one.node for one in outputs) or graph.nodes[-1:]
        yield DivideMatch(nodes, tuple(outputs))

    def check(self, graph: Graph, match: DivideMatch) -> Verdict:
        known = [name for one in _outputs(graph) for name in (one.name, *one.parts)]
        for name in self.factors:
            if name not in known:
                told = did_you_mean(name, known, "there are")
                reason = f"`{name}` is no output, and no part of one that a Concat joins: {told}"
                return Verdict.no(reason, match.nodes[0])
        for one in match.outputs:
            inside = next((name for name in one.parts if name in self.factors), None)
            if one.name in self.factors and inside is not None:
                return Verdict.no(f"`{one.name}` and its part `{inside}` are both named", one.node)
            type_ = graph.type(one.name)
            if type_ is None or not type_.is_static or type_.dtype not in _FLOATS:
                reason = (
                    f"`{one.name}` is {type_ or 'of unknown type'}, and no float of fixed shape"
                )
                return Verdict.no(reason, one.node)
            if graph.consumers(one.name):
                return Verdict.no(f"`{one.name}` is read inside the network too", one.node)
            parts = [graph.type(name) for name in one.parts]
            if not all(part is not None and part.is_static for part in parts):
                return Verdict.no(f"the shapes of what `{one.name}` joins are not known", one.node)
        return Verdict.yes()

    def rewrite(self, graph: Graph, match: DivideMatch) -> tuple[onnx.NodeProto, ...]:
        renamed: dict[str, str] = {}
        tails, made = [], []
        for one in match.outputs:
            new = renamed[one.name] = graph.fresh_tensor(f"{one.name}_divided")
            nodes = self._divided(graph, one, new)
            factors = graph.add_constant(f"{new}{FACTORS}", self._vector(graph, one))
            again = helper.make_node("Mul", [new, factors], [one.name], f"{new}.multiply")
            graph.replace((one.node,), (*nodes, again))
            tails.append(again)
            made += nodes
        graph.cut(tails, [renamed.get(name, name) for name in graph.outputs])
        return tuple(made)

    def _divided(self, graph: Graph, one: Output, new: str) -> list[onnx.NodeProto]:
        """The output's maker, and what divides before or behind it."""
        dtype = _type(graph, one.name).dtype
        maker = onnx.NodeProto()
        maker.CopyFrom(one.node)
        if one.name in self.factors:
            raw = graph.fresh_tensor(f"{one.name}_raw")
            maker.output[list(maker.output).index(one.name)] = raw
            return [maker, _division(graph, raw, new, self.factors[one.name], dtype)]
        before = []
        for place, name in enumerate(one.parts):
            if name in self.factors:
                part = graph.fresh_tensor(f"{name}_divided")
                before.append(_division(graph, name, part, self.factors[name], dtype))
                maker.input[place] = part
        maker.output[0] = new
        return [*before, maker]

    def _vector(self, graph: Graph, one: Output) -> Array:
        """What the output has to be multiplied by again: a factor a place along one axis."""
        type_ = _type(graph, one.name)
        if one.name in self.factors:
            return np.array([self.factors[one.name]], type_.dtype)
        shape = type_.static_shape
        axis = cast(int, attribute(one.node, "axis", 1)) % len(shape)
        along: list[float] = []
        for name in one.parts:
            along += [self.factors.get(name, 1.0)] * _type(graph, name).static_shape[axis]
        places = [-1 if place == axis else 1 for place in range(len(shape))]
        return np.array(along, type_.dtype).reshape(places)


def _type(graph: Graph, tensor: str) -> TensorType:
    """Of a tensor that `check` found known."""
    found = graph.type(tensor)
    if found is None:
        raise ValueError(f"the type of `{tensor}` is not known, though `check` found it so")
    return found


def _division(graph: Graph, tensor: str, made: str, factor: float, dtype: str) -> onnx.NodeProto:
    share = graph.add_constant(f"{made}.share", np.array([1 / factor], dtype))
    return helper.make_node("Mul", [tensor, share], [made], f"{made}.divide")


def joined(graph: Graph) -> list[tuple[str, ...]]:
    """The parts of each output that is a Concat of several, and nothing else inside reads."""
    return [
        one.parts
        for one in _outputs(graph)
        if len(set(one.parts)) > 1 and not graph.consumers(one.name)
    ]


def _outputs(graph: Graph) -> Iterator[Output]:
    """Outputs that a node makes; of a Concat, with its parts, where all are computed."""
    for name in graph.outputs:
        node = graph.producer(name)
        if node is not None:
            is_joined = node.op_type == "Concat" and all(
                graph.constant(part) is None for part in node.input
            )
            yield Output(name, node, is_joined)
