"""The rules that apply by themselves: the same numbers, in a form that the SDK takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from quant.graph.graph import Graph
from quant.rewrites.apply import apply
from quant.rewrites.table import ADAPTATIONS
from tests.graph_builder import Builder
from tests.rewriting import require_own_operators, require_same
from tests.vacuous import some

STEPS, FEATURES, HIDDEN = 4, 8, 6
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(
    kind: str, outputs: list[str], direction: str = "forward", opset: int = 14, **extra: str
) -> onnx.ModelProto:
    """One recurrent layer; its outputs are those of `outputs` that start with `y`."""
    b = Builder(0)
    count = 1 + (direction == "bidirectional")
    width = GATES[kind] * HIDDEN
    weights = [b.weight(count, width, n) for n in (FEATURES, HIDDEN)]
    told: dict[str, Any] = {"hidden_size": HIDDEN, "direction": direction}
    node = helper.make_node(kind, ["x", *weights, b.weight(count, 2 * width)], outputs, "r", **told)
    b.nodes.append(node)
    read = [name for name in outputs if name.startswith("y")]
    return b.model({"x": (STEPS, 2, FEATURES)}, read, opset)


def adapted(rule: str, model: onnx.ModelProto) -> onnx.ModelProto:
    """The rule must fire once, with the same bits or within its rounding."""
    require_own_operators(ADAPTATIONS[rule], model)
    graph = Graph(model)
    applied = apply(ADAPTATIONS[rule], graph)
    assert (len(applied.fired), applied.refused) == (1, ())
    after = graph.to_model()
    require_same(ADAPTATIONS[rule], model, after)
    return after


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("opset", [9, 11, 14])
@pytest.mark.parametrize("kind", ["GRU", "RNN"])
@pytest.mark.parametrize(
    ("direction", "made"),
    [
        ("forward", ["Slice", "Squeeze"]),
        ("reverse", ["Slice", "Squeeze"]),
        ("bidirectional", ["Slice", "Slice", "Concat", "Squeeze"]),
    ],
)
def test_the_last_state_is_read_from_all(
    kind: str, direction: str, made: list[str], opset: int
) -> None:
    for outputs in (["", "y_last"], ["unread", "y_last"]):
        after = adapted("last_state", recurrent(kind, outputs, direction, opset))
        assert operators(after) == [kind, *made]


def test_a_state_that_is_read_with_all_others_stays() -> None:
    for kind in GATES:
        graph = Graph(recurrent(kind, ["y_all", "y_last"]))
        assert apply(ADAPTATIONS["last_state"], graph).fired == ()


@pytest.mark.parametrize("opset", [11, 14])
@pytest.mark.parametrize("outputs", [["", "", "y_cell"], ["a", "b", "y_cell"]])
def test_a_cell_state_alone_is_read_beside_the_last_state(outputs: list[str], opset: int) -> None:
    after = adapted("cell_state", recurrent("LSTM", outputs, opset=opset))
    assert operators(after) == ["LSTM", "Concat", "Slice"]
    assert all(some(after.graph.node[0].output))
    graph = Graph(recurrent("LSTM", ["", "y_last", "y_cell"]))
    assert apply(ADAPTATIONS["cell_state"], graph).fired == ()


def test_sequences_with_lengths_of_their_own_end_earlier() -> None:
    model = recurrent("GRU", ["", "y_last"])
    model.graph.node[0].input.append("lengths")
    lengths = onnx.numpy_helper.from_array(np.array([2, 4], np.int32), "lengths")
    model.graph.initializer.append(lengths)
    applied = apply(ADAPTATIONS["last_state"], Graph(model))
    assert [no.reason for no in applied.refused] == [
        "its sequences have lengths of their own (`sequence_lens`)"
    ]


@pytest.mark.parametrize(
    ("outputs", "unread"), [(["", "y_last"], [0]), (["", "", "y_cell"], [0, 1])]
)
def test_outputs_that_are_left_out_get_names(outputs: list[str], unread: list[int]) -> None:
    after = adapted("named_states", recurrent("LSTM", outputs))
    names = after.graph.node[0].output
    assert [i for i, name in enumerate(names) if not name.startswith("y")] == unread
    assert all(names)


def test_an_lstm_without_bias_has_zeros() -> None:
    model = recurrent("LSTM", ["y"])
    node = model.graph.node[0]
    node.input[:] = [*node.input[:3], "", "", "start"]
    start = onnx.numpy_helper.from_array(np.ones((1, 2, HIDDEN), np.float32), "start")
    model.graph.initializer.append(start)
    after = adapted("written_bias", model).graph
    bias = next(t for t in after.initializer if t.name == after.node[0].input[3])
    assert not onnx.numpy_helper.to_array(bias).any()
    assert list(bias.dims) == [1, 2 * 4 * HIDDEN]


@pytest.mark.parametrize(("channels", "lengths"), [(6, [2, 2, 2]), (5, [2, 2, 1])])
def test_a_split_says_its_lengths(channels: int, lengths: list[int]) -> None:
    b = Builder(4)
    parts = ["p", "q", "r"]
    b.nodes.append(helper.make_node("Split", ["x"], parts, "split", axis=-3, num_outputs=3))
    after = adapted("written_split", b.model({"x": (1, channels, 4, 4)}, parts, 18)).graph
    (node,) = after.node
    held = next(t for t in after.initializer if t.name == node.input[1])
    assert onnx.numpy_helper.to_array(held).tolist() == lengths
    assert [one.name for one in node.attribute] == ["axis"]


def with_empty(lengths: list[int], *, is_output: bool = False) -> onnx.ModelProto:
    """Parts of 8 columns, joined again in turn, those without elements among them."""
    b = Builder(5)
    parts = [f"p{number}" for number in range(len(lengths))]
    b.weights["lengths"] = np.array(lengths)
    b.nodes.append(helper.make_node("Split", ["x", "lengths"], parts, "split", axis=3))
    outputs = [b.op("Concat", *reversed(parts), axis=-1), *(parts[-1:] if is_output else [])]
    return b.model({"x": (1, 2, 3, 8)}, outputs, 18)


@pytest.mark.parametrize(
    ("lengths", "made", "kept"),
    [([8, 0], "Identity", []), ([3, 0, 5], "Split", [3, 5]), ([0, 2, 0, 6], "Split", [2, 6])],
)
def test_parts_without_elements_are_left_out(
    lengths: list[int], made: str, kept: list[int]
) -> None:
    after = adapted("no_empty_parts", with_empty(lengths)).graph
    assert [node.op_type for node in after.node] == [made, "Concat"]
    assert len(after.node[1].input) == max(1, len(kept))
    held = [onnx.numpy_helper.to_array(t).tolist() for t in after.initializer]
    assert held == ([kept] if kept else [])


def test_a_part_without_elements_that_is_an_output_stays() -> None:
    applied = apply(ADAPTATIONS["no_empty_parts"], Graph(with_empty([8, 0], is_output=True)))
    assert [no.reason for no in applied.refused] == [
        "a part without elements is an output of the graph"
    ]


def layer_norm(shape: tuple[int, ...], axis: int | None, **attributes: Any) -> onnx.ModelProto:
    b = Builder(1)
    over = shape[-1:] if axis is None else shape[axis:]
    told = attributes if axis is None else {"axis": axis, **attributes}
    weights = [b.weight(*over), b.weight(*over)]
    return b.model({"x": shape}, [b.op("LayerNormalization", "x", *weights, **told)], 17)


def test_layer_norm_says_its_defaults() -> None:
    for model in (layer_norm((1, 5, 8), None), layer_norm((1, 5, 8), -2)):
        (node,) = adapted("layer_norm_last_axis", model).graph.node
        told = {held.name: helper.get_attribute_value(held) for held in node.attribute}
        assert told["epsilon"] == np.float32(1e-5)
        assert told["axis"] in (-1, -2)


@pytest.mark.parametrize("axis", [1, -3])
def test_layer_norm_over_three_axes_becomes_flat(axis: int) -> None:
    after = adapted("layer_norm_last_axis", layer_norm((2, 3, 4, 5), axis, epsilon=1e-3))
    assert operators(after) == ["Reshape", "LayerNormalization", "Reshape"]


def test_a_layer_norm_as_the_sdk_reads_it_stays() -> None:
    graph = Graph(layer_norm((1, 5, 8), -1, epsilon=1e-5))
    assert apply(ADAPTATIONS["layer_norm_last_axis"], graph).fired == ()


@pytest.mark.parametrize("opset", [11, 14])
@pytest.mark.parametrize("has_bias", [True, False])
def test_groups_of_a_transposed_convolution_part(opset: int, has_bias: bool) -> None:
    b = Builder(2)
    weights = [b.weight(6, 2, 4, 4), *([b.weight(6)] if has_bias else [])]
    told = {"group": 3, "strides": [2, 2], "pads": [1] * 4}
    model = b.model({"x": (1, 6, 5, 5)}, [b.op("ConvTranspose", "x", *weights, **told)], opset)
    after = adapted("split_transposed_groups", model)
    assert operators(after) == ["Split", *["ConvTranspose"] * 3, "Concat"]


@pytest.mark.parametrize("group", [1, 6])
def test_one_group_or_one_a_channel_stays(group: int) -> None:
    b = Builder(3)
    made = b.op("ConvTranspose", "x", b.weight(6, 6 // group, 2, 2), group=group)
    graph = Graph(b.model({"x": (1, 6, 5, 5)}, [made]))
    assert apply(ADAPTATIONS["split_transposed_groups"], graph).fired == ()
