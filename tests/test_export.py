"""export of ONNX sources, and the check that ends every export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from quant.execution.run import FloatRun
from quant.graph.operators import operator_counts
from quant.graph.types import input_types, output_types
from tests.exporting import CHECK, EXPORT, X, export, exported
from tests.graph_builder import Builder, parsed
from tests.job_runner import Told, Work, recipe_input, run_here, source
from tests.vacuous import some


def conv_net(shape: tuple[int | str, ...] = (1, 3, 8, 8), opset: int = 15) -> onnx.ModelProto:
    b = Builder(0)
    made = b.op("Conv", "x", b.weight(4, 3, 3, 3), b.weight(4))
    b.op("GlobalAveragePool", b.op("Relu", made))
    model = b.model({"x": (1, 3, 8, 8)}, [b.op("Flatten", b.nodes[-1].output[0])], opset)
    del model.graph.input[0].type.tensor_type.shape.dim[:]
    fixed = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, list(shape))
    model.graph.input[0].CopyFrom(fixed)
    if any(isinstance(dim, str) for dim in shape):
        last = model.graph.output[0].name
        given = helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, [shape[0], 4])
        model.graph.output[0].CopyFrom(given)
    return model


def test_a_sound_model_is_copied_byte_for_byte(tmp_path: Path) -> None:
    model = conv_net()
    told, work = export(tmp_path, model)
    assert told == Told()
    assert (work.out / "model.onnx").read_bytes() == model.SerializeToString()
    record = work.json("export.json")
    last = model.graph.output[0].name
    assert record == {
        "bytes": len(model.SerializeToString()),
        "changes": [],
        "exporter": "",
        "inputs": {"x": {"dtype": "float32", "shape": [1, 3, 8, 8]}},
        "ir_version": 8,
        "maximum_difference": None,
        "operators": {"Conv": 1, "Flatten": 1, "GlobalAveragePool": 1, "Relu": 1},
        "opset": 15,
        "outputs": {last: {"dtype": "float32", "shape": [1, 4]}},
        "parameters": 4 * 3 * 9 + 4,
        "producer": "test",
        "warnings": [],
    }


def test_the_record_is_the_same_in_another_folder(tmp_path: Path) -> None:
    texts = []
    for name in ("a", "another, longer"):
        _, work = export(tmp_path / name, conv_net(("n", 3, "h", 8)))
        texts.append((work.out / "export.json").read_bytes())
        texts.append((work.out / "model.onnx").read_bytes())
    assert texts[:2] == texts[2:]


@pytest.mark.parametrize("shape", [("n", 3, "h", "w"), ("n", 3, 8, 8)])
def test_dynamic_shapes_become_the_recipes(tmp_path: Path, shape: tuple[int | str, ...]) -> None:
    told, work = export(tmp_path, conv_net(shape))
    assert told == Told()
    model = exported(work)
    assert input_types(model)["x"].shape == (1, 3, 8, 8)
    assert [type_.shape for type_ in output_types(model).values()] == [(1, 4)]
    record = work.json("export.json")
    assert len(record["changes"]) == 1
    assert "now [1, 3, 8, 8]" in record["changes"][0]
    assert set(record["maximum_difference"].values()) == {0.0}


def test_output_shapes_that_inference_cannot_prove_come_from_running(tmp_path: Path) -> None:
    text = """g (float[n,6] x) => (float[a,b] y) {
        s = Shape(x)
        f = Cast<to = 1>(s)
        r = Sqrt(f)
        t = Mul(r, r)
        u = Cast<to = 7>(t)
        y = Expand(x, u)
    }"""
    told, work = export(tmp_path, parsed(text), {"x": recipe_input([4, 6])})
    assert told == Told()
    assert output_types(exported(work))["y"].shape == (4, 6)


def test_weights_listed_as_inputs_are_no_inputs(tmp_path: Path, realworld: Path) -> None:
    data = (realworld / "ultraface" / "rfb320.onnx").read_bytes()
    told, work = export(tmp_path, data, {"input": recipe_input([1, 3, 240, 320])})
    assert told == Told()
    assert (work.out / "model.onnx").read_bytes() == data
    record = work.json("export.json")
    assert list(record["inputs"]) == ["input"]
    assert (record["opset"], record["parameters"]) == (9, 307_624)


def test_side_files_move_into_the_model(tmp_path: Path) -> None:
    model = conv_net()
    whole = FloatRun(model)
    place = tmp_path / "made" / "net.onnx"
    place.parent.mkdir()
    onnx.save(model, place, save_as_external_data=True, location="w.bin", size_threshold=0)
    told, work = export(tmp_path / "a", place.read_bytes(), files={"w.bin": place.parent / "w.bin"})
    assert told == Told()
    x = {"x": np.ones((1, 3, 8, 8), np.float32)}
    after = FloatRun(exported(work))(x)
    assert all(np.array_equal(after[name], array) for name, array in some(whole(x).items()))
    assert work.json("export.json")["changes"] == ["2 weights moved from side files into the model"]
    told, _ = export(tmp_path / "b", place.read_bytes())
    assert told.what == "`net.onnx` keeps the weight `w0` in `w.bin`, which is not here"
    assert "`source.dependencies`" in told.advice


def test_a_side_file_that_ends_too_early(tmp_path: Path) -> None:
    place = tmp_path / "net.onnx"
    onnx.save(conv_net(), place, save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "short.bin").write_bytes((tmp_path / "w.bin").read_bytes()[:100])
    told, _ = export(tmp_path / "a", place.read_bytes(), files={"w.bin": tmp_path / "short.bin"})
    assert told.what == "`w.bin` ends inside the weight `w0`"


def test_a_side_file_outside_the_folder(tmp_path: Path) -> None:
    model = conv_net()
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "../secret")
    tensor.ClearField("raw_data")
    told, _ = export(tmp_path, model)
    assert told.what == "`net.onnx` keeps the weight `w0` in `../secret`, outside its own folder"


TWO = "g (float[1,4] x) => (float[1,4] y, float[1,4] z) { a = Relu(x) y = Abs(a) z = Neg(x) }"
FOUR = {"x": recipe_input([1, 4])}


@pytest.mark.parametrize(
    ("outputs", "operators"),
    [
        (("z", "y"), {"Relu": 1, "Abs": 1, "Neg": 1}),
        (("y",), {"Relu": 1, "Abs": 1}),
        (("a",), {"Relu": 1}),
    ],
)
def test_outputs_are_chosen_by_name(
    tmp_path: Path, outputs: tuple[str, ...], operators: dict[str, int]
) -> None:
    told, work = export(tmp_path, parsed(TWO), FOUR, outputs)
    assert told == Told()
    assert tuple(output_types(exported(work))) == outputs
    assert work.json("export.json")["operators"] == operators


def version_of(opset: int, text: str) -> onnx.ModelProto:
    return parsed(text, opset=opset)


def test_a_newer_opset_is_lowered_with_proof(tmp_path: Path) -> None:
    text = "g (float[1,3,8,8] x) => (float[1,3,8,8] y) { a = Relu(x) y = Softmax<axis = 1>(a) }"
    told, work = export(tmp_path, version_of(21, text))
    assert told == Told()
    record = work.json("export.json")
    assert record["opset"] == 19
    assert record["changes"] == ["opset 21 converted to 19"]
    assert record["maximum_difference"] == {"y": 0.0}


def test_an_opset_that_cannot_be_lowered(tmp_path: Path) -> None:
    text = "g (float[1,3,8,8] x) => (uint4[1,3,8,8] y) { y = Cast<to = 21>(x) }"
    told, _ = export(tmp_path, version_of(21, text))
    assert told.what.startswith("the model has opset 21, above 19, the newest that the SDK reads")
    assert "Cast" in told.what
    assert "opset 19 or lower" in told.advice


def test_wrong_shapes_in_between_are_dropped(tmp_path: Path) -> None:
    """onnxsim leaves such ones."""
    model = parsed(TWO)
    wrong = helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [])
    model.graph.value_info.append(wrong)
    told, work = export(tmp_path, model, FOUR)
    assert told == Told()
    changes = work.json("export.json")["changes"]
    assert changes == ["shapes of tensors in between were wrong and are dropped"]


def test_operators_of_others_are_noted(tmp_path: Path) -> None:
    model = parsed(TWO)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.graph.node[1].op_type, model.graph.node[1].domain = "QuickGelu", "com.microsoft"
    told, work = export(tmp_path, model, FOUR)
    assert told == Told()
    (warning,) = work.json("export.json")["warnings"]
    assert "com.microsoft.QuickGelu (QuickGelu(y))" in warning


def test_functions_of_the_file_are_written_out(tmp_path: Path) -> None:
    """One that calls another. The SDK reads none."""
    made = parsed(
        "g (float[1,3,8,8] x) => (float[1,3,8,8] y) { t = Relu(x) y = Relu(t) }", opset=17
    )
    made.graph.node[1].op_type, made.graph.node[1].domain = "Twice", "mine"
    made.opset_import.append(helper.make_opsetid("mine", 1))
    bodies = {"Once": ("Neg", ""), "Twice": ("Once", "mine")}
    for name, (inner, domain) in bodies.items():
        nodes = [
            helper.make_node(inner, ["a"], ["b"], domain=domain),
            helper.make_node("Add", ["a", "b"], ["c"]),
        ]
        opsets = [helper.make_opsetid(one, 17 if not one else 1) for one in ("", "mine")]
        made.functions.append(helper.make_function("mine", name, ["a"], ["c"], nodes, opsets))
    told, work = export(tmp_path, made, X)
    assert told == Told()
    after = exported(work)
    assert operator_counts(after) == {"Add": 2, "Neg": 1, "Relu": 1}
    assert not after.functions
    assert [entry.domain for entry in after.opset_import] == [""]
    record = json.loads((work.out / "export.json").read_text())
    assert record["changes"] == ["functions of the file written out: Once, Twice"]


@pytest.mark.parametrize(
    ("kind", "count", "operators"),
    [
        ("Gelu", 1, {"Add": 1, "Div": 1, "Erf": 1, "Mul": 2}),
        ("BiasGelu", 2, {"Add": 2, "Div": 1, "Erf": 1, "Mul": 2}),
        ("FastGelu", 1, {"Add": 2, "Mul": 6, "Tanh": 1}),
        ("FastGelu", 2, {"Add": 3, "Mul": 6, "Tanh": 1}),
    ],
)
def test_what_onnxruntime_s_optimizer_left_is_written_out(
    tmp_path: Path, kind: str, count: int, operators: dict[str, int]
) -> None:
    """Held against onnxruntime's own kernel."""
    bias = (
        ""
        if count == 1
        else "b = Constant<value_floats = [0.5, -1.0, 2.0, 0.0, 1.0, 3.0, -0.5, 0.1]>()"
    )
    made = parsed(
        f"g (float[1,3,8,8] x) => (float[1,3,8,8] y) {{ {bias} r = Relu(x) y = Gelu(r) }}", opset=13
    )
    node = made.graph.node[-1]
    node.op_type, node.domain = kind, "com.microsoft"
    node.input[:] = ["r", "b"][:count]
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    told, work = export(tmp_path, made, X)
    assert told == Told()
    counts = operator_counts(exported(work))
    counts.pop("Constant")
    assert counts == {**operators, "Relu": 1}
    record = json.loads((work.out / "export.json").read_text())
    assert record["maximum_difference"]["y"] <= 1e-5
    assert record["warnings"] == []


BYTES = "g (uint8[1,8,8,3] x) => (float[1,3,8,8] y) {{ {} }}"
MOVED = "t = Transpose<perm = [0, 3, 1, 2]>(x) y = Cast<to = 1>(t)"
NEWER = 20  # as it is, the SDK refuses it


def test_an_input_of_bytes_that_is_cast_is_float(tmp_path: Path) -> None:
    given = parsed(BYTES.format(MOVED), opset=NEWER)
    told, work = export(tmp_path, given, {"x": recipe_input([1, 8, 8, 3])})
    assert told == Told()
    after = exported(work)
    assert str(input_types(after)["x"]) == "float32 [1, 8, 8, 3]"
    codes = np.arange(192, dtype=np.float32).reshape(1, 8, 8, 3)
    np.testing.assert_array_equal(FloatRun(after)({"x": codes})["y"], codes.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    "body",
    [
        "d = Add(x, x) t = Transpose<perm = [0, 3, 1, 2]>(d) y = Cast<to = 1>(t)",
        f"{MOVED} z = Identity(x) s = Shape(z)",
    ],
)
def test_bytes_that_something_else_reads_stay_bytes(tmp_path: Path, body: str) -> None:
    """256 of them is 0 again."""
    given = parsed(BYTES.format(body), opset=NEWER)
    told, _ = export(tmp_path, given, {"x": recipe_input([1, 8, 8, 3])})
    assert told.what == "input `x`: the recipe says float32, the model takes uint8"


def test_infinities_as_bounds_are_fine(tmp_path: Path) -> None:
    text = "g (float[1,4] x) => (float[1,4] y) { y = Clip(x, low, high) }"
    bounds = {"low": np.array(0, np.float32), "high": np.array(np.inf, np.float32)}
    assert export(tmp_path, parsed(text, bounds), FOUR)[0] == Told()


def nan_weight(value: float, dtype: str = "float32") -> onnx.ModelProto:
    b = Builder(0, dtype)
    weight = b.weight(4, 3, 3, 3)
    b.weights[weight][0, 0, 1, 1] = value
    return b.model({"x": (1, 3, 8, 8)}, [b.op("Conv", "x", weight)])


def nan_constant() -> onnx.ModelProto:
    b = Builder(0)
    value = numpy_helper.from_array(np.array([np.nan], np.float32))
    return b.model({"x": (1, 3, 8, 8)}, [b.op("Mul", "x", b.op("Constant", value=value))])


def unsorted() -> onnx.ModelProto:
    model = conv_net()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def unknown_operator() -> onnx.ModelProto:
    model = conv_net()
    model.graph.node[1].op_type = "Rellu"
    return model


def unknown_domain() -> onnx.ModelProto:
    model = conv_net()
    model.graph.node[1].domain = "my.own"
    model.opset_import.append(helper.make_opsetid("my.own", 1))
    return model


def wrong_reshape() -> onnx.ModelProto:
    shape = {"s": np.array([7, 7], np.int64)}
    return parsed("g (float[1,4] x) => (float[7,7] y) { y = Reshape(x, s) }", shape)


def selects() -> onnx.ModelProto:
    text = "g (float[1,4] x) => (int64[2,n] y) { y = NonZero(x) }"
    return parsed(text)


def logarithm_of_negative() -> onnx.ModelProto:
    return parsed(
        """g (float[1,4] x) => (float[1,4] y) { a = Mul(x, x) b = Add(a, one)
        c = Neg(b) y = Log(c) }""",
        {"one": np.array(1, np.float32)},
    )


def sequence() -> onnx.ModelProto:
    value = helper.make_tensor_sequence_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(
        [helper.make_node("SequenceConstruct", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4])],
        [value],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)])


def future(field: str, version: int) -> Callable[[], onnx.ModelProto]:
    def make() -> onnx.ModelProto:
        model = conv_net()
        if field == "opset":
            model.opset_import[0].version = version
        else:
            model.ir_version = version
        return model

    return make


def two_inputs() -> onnx.ModelProto:
    text = """g (float[1,4] x, int64[1,4] ids) => (float[1,4] y) {
        f = Cast<to = 1>(ids) y = Add(x, f) }"""
    return parsed(text)


# name -> model, inputs of the recipe, outputs, what is said, part of the advice
BAD: dict[str, tuple[Any, Any, tuple[str, ...], str, str]] = {
    "empty": (b"", X, (), "`net.onnx` is empty", "download it again"),
    "text": (b"hello, this is text", X, (), "`net.onnx` is no ONNX file, or is cut", "again"),
    "truncated": (
        lambda: conv_net().SerializeToString()[:-40],
        X,
        (),
        "`net.onnx` is no ONNX file, or is cut short or damaged",
        "download it again",
    ),
    "git lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        X,
        (),
        "`net.onnx` is a Git LFS pointer, not the file itself",
        "git lfs pull",
    ),
    "a page": (b"<!DOCTYPE html><html>", X, (), "`net.onnx` is a web page", "again"),
    "torch": (b"PK\x03\x04....", X, (), "`net.onnx` is a zip archive", "`torchscript:`"),
    "tflite": (b"\x1c\x00\x00\x00TFL3....", X, (), "`net.onnx` is a TFLite file", "`tflite:`"),
    "other protobuf": (
        onnx.ModelProto(ir_version=8).SerializeToString(),
        X,
        (),
        "`net.onnx` is no whole ONNX model",
        "cut short or something else",
    ),
    "opset of the future": (
        future("opset", 99),
        X,
        (),
        "the model has opset 99; onnx 1.18.0 knows opsets up to 23",
        "opset 19 or lower",
    ),
    "IR of the future": (
        future("IR", 99),
        X,
        (),
        "the file has ONNX IR version 99; onnx 1.18.0 reads up to 11",
        "export it again",
    ),
    "unknown input": (
        conv_net,
        {"X1": recipe_input()},
        (),
        "the model has no input `X1`",
        "did you mean `x`?",
    ),
    "another input": (
        conv_net,
        {"image": recipe_input()},
        (),
        "the model has no input `image`",
        "its inputs: x",
    ),
    "a weight as input": (conv_net, {"w0": recipe_input()}, (), "the model has no input `w0`", "x"),
    "another shape": (
        conv_net,
        {"x": recipe_input([1, 3, 16, 16])},
        (),
        "input `x`: the recipe says [1, 3, 16, 16], the model takes [1, 3, 8, 8]",
        "write the model's shape",
    ),
    "another rank": (
        lambda: conv_net(("n", 3, "h", "w")),
        {"x": recipe_input([3, 8, 8])},
        (),
        "input `x`: the recipe says [3, 8, 8], the model takes [n, 3, h, w]",
        "write the model's shape",
    ),
    "dynamic without a shape": (
        lambda: conv_net(("n", 3, "h", 8)),
        {"x": recipe_input()},
        (),
        "input `x` has the shape [n, 3, h, 8] in the model",
        "declare its `shape`",
    ),
    "another type": (
        two_inputs,
        {"x": recipe_input(), "ids": recipe_input()},
        (),
        "input `ids`: the recipe says float32, the model takes int64",
        "`dtype: int64`",
    ),
    "an integer input left out": (
        two_inputs,
        {"x": recipe_input()},
        (),
        "the recipe does not declare the model's input `ids`, int64 [1, 4]",
        "add it under `inputs`",
    ),
    "a shape the graph cannot take": (
        lambda: parsed(
            "g (float[n,4] x) => (float[n,4] y) { a = Reshape(x, s) y = Reshape(a, s) }",
            {"s": np.array([1, 4], np.int64)},
        ),
        {"x": recipe_input([3, 4])},
        (),
        "onnxruntime cannot run the graph: Reshape ``: The input tensor cannot be reshaped to the "
        "requested shape. Input shape:{3,4}, requested shape:{1,4}",
        "does not fit its input shapes",
    ),
    "unknown output": (
        lambda: parsed(TWO),
        FOUR,
        ("why",),
        "the graph has no tensor `why` to put out",
        "did you mean `y`?",
    ),
    "an output that needs no input": (
        two_inputs,
        {"x": recipe_input(), "ids": recipe_input(dtype="int64")},
        ("f",),
        "no output that the recipe names depends on the input `x`",
        "remove it",
    ),
    "NaN": (
        lambda: nan_weight(np.nan),
        X,
        (),
        "the weight `w0`, used by Conv `Conv_0`, holds 1 NaN and 0 infinite values among 108",
        "export a healthy checkpoint",
    ),
    "infinity": (
        lambda: nan_weight(-np.inf),
        X,
        (),
        "the weight `w0`, used by Conv `Conv_0`, holds 0 NaN and 1 infinite values among 108",
        "export a healthy checkpoint",
    ),
    "NaN in float16": (
        lambda: nan_weight(np.nan, "float16"),
        {"x": recipe_input([1, 3, 8, 8], "float16")},
        (),
        "the weight `w0`, used by Conv `Conv_0`, holds 1 NaN",
        "",
    ),
    "NaN in a Constant node": (
        nan_constant,
        X,
        (),
        "the weight `Constant_0_out`, used by Mul `Mul_1`, holds 1 NaN",
        "",
    ),
    "unsorted": (
        unsorted,
        X,
        (),
        "the graph is not valid ONNX: Nodes in a graph must be topol",
        "",
    ),
    "unknown operator": (unknown_operator, X, (), "the graph is not valid ONNX: No Op reg", ""),
    "an operator nobody has": (
        unknown_domain,
        X,
        (),
        "onnxruntime cannot load the graph: Fatal error: my.own:Relu(-1) is not a registered func",
        "standard operators",
    ),
    "shapes do not fit": (
        wrong_reshape,
        FOUR,
        (),
        "onnxruntime cannot run the graph: Reshape ``: The input tensor cannot be reshaped to the "
        "requested shape. Input shape:{1,4}, requested shape:{7,7}",
        "the export is broken",
    ),
    "selects by value": (selects, FOUR, (), "NonZero `NonZero(y)` makes an output whose", "cut"),
    "never a number": (
        logarithm_of_negative,
        FOUR,
        (),
        "output `y` is NaN or infinite everywhere on random inputs",
        "check the weights",
    ),
    "a sequence": (sequence, FOUR, (), "`y` is a sequence, not a tensor", "tensors only"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_models_are_refused(name: str, tmp_path: Path) -> None:
    make, inputs, outputs, what, advice = BAD[name]
    told, work = export(tmp_path, make() if callable(make) else make, inputs, outputs)
    assert told.what.startswith(what)
    assert advice in told.advice
    assert not (work.out / "export.json").exists()
    assert str(tmp_path) not in told.what


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    params = {"source": source("onnx", "net.onnx"), "inputs": X, "outputs": []}
    for name, what in (("gone", "`net.onnx` does not exist"), ("folder", "`net.onnx` is a folder")):
        place = tmp_path / name
        if name == "folder":
            place.mkdir()
        work = Work.lay_out(tmp_path / f"work {name}", {"source": place, "model/net.onnx": place})
        assert run_here(work, EXPORT, params).what == what


def test_the_checker_holds_what_another_exporter_made_against_the_recipe(tmp_path: Path) -> None:
    work = Work.lay_out(tmp_path / "work", {})
    params: dict[str, Any] = {
        "source": source("keras", "net.keras"),
        "inputs": FOUR,
        "outputs": ["z", "y"],
    }
    onnx.save(parsed(TWO), work.out / "model.onnx")
    told = run_here(work, CHECK, params)
    assert told.what == "the recipe names the outputs z, y; the model has y, z"
    onnx.save(parsed(TWO, opset=20), work.out / "model.onnx")
    told = run_here(work, CHECK, params)
    assert told.what.startswith("the exported graph has opset 20, above 19")
    assert told.advice == "set `source.opset` to 19 or lower"
