"""Chains of shape arithmetic: found whole, with what they read and what they feed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from quant.graph.analysis.changes import graph_changes
from quant.graph.analysis.shape_chains import ShapeChain, shape_chains
from quant.graph.graph import Graph
from tests.graph_builder import parsed

ONE = {"one": np.array([1], np.int64)}


def told(chain: ShapeChain) -> str:
    """`conv > Shape(s), Gather(g) > reshape[1]`: where from, which nodes, where to."""
    made_by = ", ".join(chain.made_by) or "inputs"
    return f"{made_by} > {', '.join(chain.nodes)} > {chain.consumer}[{chain.input}]"


# name, graph, chains as `told`
GRAPHS = {
    "flatten by view": (
        """g (float[2,3,4] x) => (float[a,b] y) {
            r = Relu(x)
            s = Shape(r)
            zero = Constant<value = int64 {0}>()
            n = Gather<axis = 0>(s, zero)
            axes = Constant<value = int64[1] {0}>()
            u = Unsqueeze(n, axes)
            rest = Constant<value = int64[1] {-1}>()
            c = Concat<axis = 0>(u, rest)
            y = Reshape(r, c)
        }""",
        ["Relu(r) > Shape(s), Gather(n), Unsqueeze(u), Concat(c) > Reshape(y)[1]"],
    ),
    "resize to the size of another": (
        """g (float[1,3,4,4] x, float[1,3,8,8] big) => (float[1,3,8,8] y) {
            s = Shape(big)
            y = Resize(x, , , s)
        }""",
        ["inputs > Shape(s) > Resize(y)[3]"],
    ),
    "one shape feeds two": (
        """g (float[2,3] x) => (float[a,b] y, float[a,b] z) {
            s = Shape(x)
            a = Relu(x)
            y = Reshape(a, s)
            z = Expand(x, s)
        }""",
        ["inputs > Shape(s) > Reshape(y)[1]", "inputs > Shape(s) > Expand(z)[1]"],
    ),
    "a length that becomes data": (
        """g (float[2,3] x) => (float[2,3] y) {
            s = Size(x)
            f = Cast<to = 1>(s)
            y = Div(x, f)
        }""",
        ["inputs > Size(s), Cast(f) > Div(y)[1]"],
    ),
    "constants alone, into a shape input": (
        """g (float[2,3] x) => (float[a,b] y) {
            six = Constant<value = int64 {6}>()
            axes = Constant<value = int64[1] {0}>()
            c = Unsqueeze(six, axes)
            y = Reshape(x, c)
        }""",
        ["inputs > Unsqueeze(c) > Reshape(y)[1]"],
    ),
    "constants alone, into data: weights": (
        """g (float[2,3] x) => (float[2,3] y) {
            t = Transpose(w)
            y = MatMul(x, t)
        }""",
        [],
    ),
    "a constant shape is no chain": (
        """g (float[2,3] x) => (float[a,b] y) {
            six = Constant<value = int64[1] {6}>()
            y = Reshape(x, six)
        }""",
        [],
    ),
    "shapes that depend on values": (
        """g (float[2,3] x, int64[2] to) => (float[a,b] y) {
            t = Abs(to)
            y = Reshape(x, t)
        }""",
        [],
    ),
    "the shape of a chain's own end": (
        """g (float[2,3] x) => (float[a,b] z) {
            s = Shape(x)
            y = Expand(x, s)
            t = Shape(y)
            z = Reshape(y, t)
        }""",
        ["inputs > Shape(s) > Expand(y)[1]", "Expand(y) > Shape(t) > Reshape(z)[1]"],
    ),
    "random numbers are no constants": (
        """g (float[2,3] x) => (float[2,3] y) {
            r = RandomNormal<shape = [2, 3]>()
            y = Add(x, r)
        }""",
        [],
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_finds(name: str) -> None:
    text, expected = GRAPHS[name]
    model = parsed(text, {"w": np.ones((3, 3), np.float32)} if "(w)" in text else None)
    assert [told(chain) for chain in shape_chains(Graph(model))] == expected


def test_an_overridable_weight_is_no_constant() -> None:
    model = parsed(
        "g (float[2,3] x, int64[1] one) => (float[a,b] y) { c = Abs(one)  y = Reshape(x, c) }", ONE
    )
    assert shape_chains(Graph(model)) == ()
    del model.graph.input[1]
    assert len(shape_chains(Graph(model))) == 1


def test_changes_tell_removed_chains_from_those_left() -> None:
    text = """g (float[2,3] x) => (float[a,b] y, float[a,b] z) {
        s = Shape(x)
        y = Reshape(x, s)
        t = Shape(y)
        z = Expand(y, t)
    }"""
    before, after = parsed(text), parsed(text)
    constant = onnx.helper.make_node(
        "Constant", [], ["fixed"], value=onnx.numpy_helper.from_array(np.array([2, 3]))
    )
    after.graph.node[0].CopyFrom(constant)
    after.graph.node[1].input[1] = "fixed"
    changes = graph_changes(before, after)
    chains = changes["shape_chains"]
    assert (chains["before"], chains["after"]) == (2, 1)
    assert [chain["consumer"] for chain in chains["removed"]] == ["Reshape(y)"]
    assert [chain["consumer"] for chain in chains["left"]] == ["Expand(z)"]
    assert changes["operators"]["before"] == {"Expand": 1, "Reshape": 1, "Shape": 2}
    assert changes["operators"]["after"] == {"Constant": 1, "Expand": 1, "Reshape": 1, "Shape": 1}
    assert changes["nodes"] == {"before": 4, "after": 4}


def test_a_published_face_detector_has_eight(realworld: Path) -> None:
    model = onnx.load(realworld / "ultraface" / "rfb320.onnx")
    chains = shape_chains(Graph(model))
    assert [chain.consumer_operator for chain in chains] == ["Reshape"] * 8
    assert {tuple(chain.operators.items()) for chain in chains} == {
        (("Concat", 1), ("Gather", 1), ("Shape", 1), ("Unsqueeze", 3))
    }
    assert all(len(chain.made_by) == 1 for chain in chains)
