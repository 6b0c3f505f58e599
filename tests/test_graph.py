"""Graphs that are asked, renamed, cut and read from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from quant.execution.run import FloatRun
from quant.fault import Fault
from quant.graph.file import read, save
from quant.graph.graph import Graph, attribute
from quant.graph.names import rename, select_outputs
from quant.graph.operators import label, operator_counts, opset
from quant.graph.provenance import strip_provenance
from quant.graph.types import TensorType, input_types, output_types
from quant.graph.weights import parameter_count
from quant.samples.normalize import normalize
from tests.graph_builder import Builder, parsed

BRANCH = """g (bool b, float[2] x) => (float[2] y) {
    r = Relu(x)
    y = If (b) <
        then_branch = t () => (float[2] p) { p = Neg(r) },
        else_branch = e () => (float[2] q) { q = Abs(r) }
    >
}"""
X = np.array([-1.0, 2.0], np.float32)


def test_rename_reaches_subgraphs_and_makes_way() -> None:
    model = parsed(BRANCH)
    rename(model, {"x": "r", "b": "condition", "y": "out"})
    assert list(input_types(model)) == ["condition", "r"]
    found = FloatRun(model)({"condition": np.array(True), "r": X})
    assert found["out"].tolist() == [0.0, -2.0]
    assert model.graph.node[0].output[0] == "r_1"


def test_rename_can_swap() -> None:
    model = parsed("g (float[2] x, float[2] y) => (float[2] z) { z = Sub(x, y) }")
    rename(model, {"x": "y", "y": "x"})
    assert list(input_types(model)) == ["y", "x"]
    one = np.ones(2, np.float32)
    assert FloatRun(model)({"y": X, "x": one})["z"].tolist() == [-2.0, 1.0]


def test_selecting_keeps_what_a_subgraph_reads() -> None:
    model = parsed(BRANCH)
    select_outputs(model, ["y"])
    assert operator_counts(model) == {"Abs": 1, "If": 1, "Neg": 1, "Relu": 1}
    select_outputs(model, ["r"])
    assert operator_counts(model) == {"Relu": 1}
    assert list(input_types(model)) == ["x"]
    with pytest.raises(Fault, match="no tensor `p`"):
        select_outputs(parsed(BRANCH), ["p"])


def test_who_makes_and_reads() -> None:
    graph = Graph(parsed(BRANCH))
    relu, branch = graph.nodes
    assert graph.producer("r") is relu
    assert graph.producer("x") is None
    assert list(graph.consumers("r")) == [branch]
    assert graph.is_output("y")
    assert graph.type("r") == TensorType((2,), "float32")
    assert (label(relu), label(branch)) == ("Relu(r)", "If(y)")


def test_replacing_drops_what_is_not_needed_and_keeps_inputs() -> None:
    b = Builder(0)
    made = b.op("Relu", b.op("Mul", "x", b.weight(2)))
    model = b.model({"x": (2,), "unused": (3,)}, [made])
    graph = Graph(model)
    name = graph.add_constant("w0", np.ones(2, np.float32))
    assert name == "w0_1"
    kept = helper.make_node("Add", ["x", name], [made], "sum")
    graph.replace(graph.nodes, [kept])
    after = graph.to_model()
    assert operator_counts(after) == {"Add": 1}
    assert [t.name for t in after.graph.initializer] == ["w0_1"]
    assert list(input_types(after)) == ["x", "unused"]
    assert operator_counts(model) == {"Mul": 1, "Relu": 1}
    with pytest.raises(ValueError, match="not in the graph"):
        graph.replace([model.graph.node[0]], [])


def test_types_are_inferred_without_large_weights() -> None:
    b = Builder(0)
    made = b.op("MatMul", "x", b.weight(80, 70))
    graph = Graph(b.model({"x": (3, 80)}, [b.op("Relu", made)]))
    assert graph.type(made) == TensorType((3, 70), "float32")
    assert graph.type("w0") == TensorType((80, 70), "float32")
    assert graph.type("nothing") is None


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"value_float": 2.5}, 2.5),
        ({"value_ints": [1, 2]}, [1, 2]),
        ({"value": onnx.numpy_helper.from_array(np.array([3, 4]))}, [3, 4]),
    ],
)
def test_constant_nodes(given: dict[str, Any], value: Any) -> None:
    node = helper.make_node("Constant", [], ["c"], **given)
    value_info = helper.make_tensor_value_info("c", onnx.TensorProto.FLOAT, None)
    made = helper.make_model(helper.make_graph([node], "g", [], [value_info]))
    found = Graph(made).constant("c")
    assert found is not None
    assert found.tolist() == value


def test_attributes() -> None:
    node = helper.make_node("Conv", [], [], auto_pad="VALID", pads=[1, 2], group=3)
    assert attribute(node, "auto_pad") == "VALID"
    assert attribute(node, "pads") == [1, 2]
    assert attribute(node, "group", 1) == 3
    assert attribute(node, "strides", "none") == "none"


def test_provenance_goes_and_nothing_else() -> None:
    model = parsed(BRANCH)
    bare = model.SerializeToString()
    model.doc_string = "made by"
    model.metadata_props.add(key="path", value="somewhere")
    model.graph.doc_string = "converted from b'__inference_network_144'"
    inner = model.graph.node[1].attribute[0].g
    inner.node[0].doc_string = "File somewhere, line 3"
    inner.node[0].metadata_props.add(key="stack", value="somewhere")
    model.graph.node[0].metadata_props.add(key="stack", value="somewhere")
    strip_provenance(model)
    assert model.SerializeToString() == bare


def test_a_saved_model_reads_back(tmp_path: Path) -> None:
    model = parsed(BRANCH)
    save(model, tmp_path / "m.onnx")
    assert read(tmp_path / "m.onnx") == model


def test_parameters_are_weights_not_shapes() -> None:
    weights: dict[str, Any] = {
        "w": np.ones((2, 3), np.float32),
        "q": np.ones(5, np.int8),
        "shape": np.array([3, 2], np.int64),
    }
    text = """g (float[3,2] x) => (float[3,2] y) {
        c = Constant<value = float[2] {1.0, 2.0}>()
        r = Reshape(w, shape)
        a = Add(x, r)
        y = Add(a, c)
    }"""
    assert parameter_count(parsed(text, weights)) == 6 + 5 + 2


def test_types_of_inputs_and_outputs() -> None:
    model = parsed("g (float16[n,3] x, int64[2] i) => (bool[a] y) { y = Cast<to = 9>(i) }")
    assert {name: str(type_) for name, type_ in input_types(model).items()} == {
        "x": "float16 [n, 3]",
        "i": "int64 [2]",
    }
    assert output_types(model)["y"] == TensorType(("a",), "bool")
    assert not input_types(model)["x"].is_static
    assert opset(model) == 15


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        (None, None, [10.0, 20.0]),
        ([10], None, [0.0, 10.0]),
        ([10, 20], [1, 1], [0.0, 0.0]),
        ([0, 10], [2, 4], [5.0, 2.5]),
        (None, [5.0], [2.0, 4.0]),
    ],
)
def test_normalize(
    mean: list[float] | None, std: list[float] | None, expected: list[float]
) -> None:
    pixels = np.array([10, 20], np.uint8).reshape(1, 2, 1, 1)
    assert normalize(pixels, mean, std).ravel().tolist() == expected


def test_normalize_needs_a_number_a_channel() -> None:
    with pytest.raises(Fault, match=r"`mean` has 3 numbers, .* channels of \[1, 8, 8, 3\]"):
        normalize(np.zeros((1, 8, 8, 3), np.uint8), [1, 2, 3], None)


def test_the_index_stays_true_under_replacing() -> None:
    """Against one made anew after every change."""
    random = np.random.default_rng(0)
    for _ in range(30):
        count = int(random.integers(2, 12))
        lines = [
            f"t{i} = Add(t{random.integers(i)}, t{random.integers(i)})" for i in range(1, count)
        ]
        text = f"g (float[2] t0) => (float[2] t{count - 1}) {{ {' '.join(lines)} }}"
        graph = Graph(parsed(text))
        for _ in range(8):
            node = graph.nodes[random.integers(len(graph.nodes))]
            x, y, out = node.input[0], node.input[1], node.output[0]
            middle = graph.fresh_tensor(out)
            graph.replace(
                [node],
                [
                    helper.make_node("Mul", [x, y], [middle]),
                    helper.make_node("Sub", [middle, x], [out]),
                ],
            )
            assert index_of(graph) == fresh_index(graph)


Index = dict[str, tuple[int | None, list[int]]]


def index_of(graph: Graph) -> Index:
    """Tensor -> the places of its producer and of its consumers."""
    places = {id(node): place for place, node in enumerate(graph.nodes)}
    names = {*graph.inputs, *(name for node in graph.nodes for name in (*node.input, *node.output))}
    return {
        name: (
            None if (made := graph.producer(name)) is None else places[id(made)],
            [places[id(node)] for node in graph.consumers(name)],
        )
        for name in names
    }


def fresh_index(graph: Graph) -> Index:
    model = onnx.ModelProto()
    model.opset_import.add().version = 17
    model.graph.node.extend(graph.nodes)
    for name in graph.inputs:
        model.graph.input.add().name = name
    return index_of(Graph(model))
