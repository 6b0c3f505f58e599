"""Inputs that are constants or single numbers, the branches that they decide, newer operators."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from quant.conversion.erfc import write_out_erfc
from quant.conversion.opset_conversion import lower_opset
from quant.execution.run import FloatRun
from quant.graph.check import check_graph
from quant.graph.operators import operator_counts, opset
from quant.graph.types import input_types, output_types
from tests.exporting import X, export, exported
from tests.graph_builder import Builder, parsed
from tests.job_runner import Told, recipe_input

# `a` is made in both branches and outside; the inner If asks for a shape.
BRANCHES = """g (float[1,c,h,8] x, int64 rate) => (float[1,c,h,8] y, float[1,c,h,8] z) {
    high = Constant<value = int64 {16000}>()
    is_high = Equal(rate, high)
    a = Relu(x)
    y, z = If(is_high)<
        then_branch = t () => (float[1,c,h,8] p, float[1,c,h,8] q) {
            b = Add(a, a)
            s = Shape(x)
            one = Constant<value = int64[1] {1}>()
            c = Gather(s, one)
            three = Constant<value = int64[1] {3}>()
            is_three = Equal(c, three)
            p = If(is_three)<
                then_branch = u () => (float[1,c,h,8] d) { d = Neg(b) },
                else_branch = v () => (float[1,c,h,8] d) { d = Exp(b) }
            >
            q = Identity(a)
        },
        else_branch = e () => (float[1,c,h,8] m, float[1,c,h,8] n) {
            b = Sigmoid(a)
            m = Abs(b)
            n = Tanh(b)
        }
    >
}"""
NUMBERS = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize(("rate", "counts"), [(16000, {"Neg": 1}), (8000, {"Abs": 1, "Tanh": 1})])
def test_a_constant_decides_its_branches(tmp_path: Path, rate: int, counts: Any) -> None:
    model = parsed(BRANCHES, opset=16)
    told, work = export(tmp_path, model, X, constants={"rate": rate})
    assert told == Told()
    after = exported(work)
    assert list(input_types(after)) == ["x"]
    found = operator_counts(after)
    assert "If" not in found
    assert {name: found[name] for name in counts} == counts
    expected = FloatRun(model)({"x": NUMBERS, "rate": np.array(rate)})
    actual = FloatRun(after)({"x": NUMBERS})
    for name in ("y", "z"):
        np.testing.assert_array_equal(actual[name], expected[name])
    record = work.json("export.json")
    assert record["changes"][0] == f"input `rate` is the constant {rate}"
    assert record["maximum_difference"] == {"y": 0.0, "z": 0.0}


def test_a_branch_that_data_decides_stays(tmp_path: Path) -> None:
    inputs = X | {"rate": recipe_input([], "int64")}
    told, work = export(tmp_path, parsed(BRANCHES, opset=16), inputs)
    assert told == Told()
    assert operator_counts(exported(work))["If"] == 2


ADD = "g (float[1,3,8,8] x, int64[2] n, float[k] w) => (float[1,3,8,8] y) { y = Relu(x) }"


@pytest.mark.parametrize(
    ("constants", "what", "advice"),
    [
        ({"m": 1}, "the model has no input `m`", "its inputs: n, w, x"),
        ({"n": 1.5}, "input `n`: the value 1.5 is no int64", "that int64 holds exactly"),
        (
            {"n": [1, 2, 3]},
            "input `n`: the value has the shape [3], the model takes [2]",
            "one number for all",
        ),
        ({"n": 1, "w": 2}, "input `w` has the shape [k] in the model", "declare its `shape`"),
    ],
)
def test_values_that_do_not_fit(
    tmp_path: Path, constants: dict[str, Any], what: str, advice: str
) -> None:
    told, _ = export(tmp_path, parsed(ADD), X, constants=constants)
    assert told.what == what
    assert advice in told.advice


def test_a_value_fills_what_is_fixed_and_an_array_says_its_own_shape(tmp_path: Path) -> None:
    text = """g (float[1,3,8,8] x, float[3,1,1] n, float[k] w) => (float[1,3,8,8] y) {
        a = Mul(x, n)
        y = Add(a, w)
    }"""
    told, work = export(tmp_path, parsed(text), X, constants={"n": 2, "w": [1.5]})
    assert told == Told()
    actual = FloatRun(exported(work))({"x": NUMBERS})["y"]
    np.testing.assert_array_equal(actual, NUMBERS * 2 + np.float32(1.5))


def test_one_number_gets_an_axis(tmp_path: Path) -> None:
    """rknn-toolkit2 takes no input without one."""
    text = "g (float[1,3,8,8] x, float gain) => (float[1,3,8,8] y) { y = Mul(x, gain) }"
    told, work = export(tmp_path, parsed(text), X | {"gain": recipe_input([])})
    assert told == Told()
    after = exported(work)
    assert input_types(after)["gain"].shape == (1,)
    gain = np.array([3], np.float32)
    actual = FloatRun(after)({"x": NUMBERS, "gain": gain})["y"]
    np.testing.assert_array_equal(actual, NUMBERS * gain)
    assert "input `gain` was one number, now [1]" in work.json("export.json")["changes"][0]


def test_one_symbol_of_an_input_and_an_output_is_two_lengths(tmp_path: Path) -> None:
    """torch's dynamic_axes with one name for both; onnx, onnxruntime and the SDK take it."""
    weight = {"w": np.ones((2, 3, 3, 3), np.float32)}
    text = """g (float[b,3,m,n] x) => (float[b,2,m,n] y) {
        y = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(x, w)
    }"""
    told, work = export(tmp_path, parsed(text, weight), X)
    assert told == Told()
    assert output_types(exported(work))["y"].shape == (1, 2, 4, 4)


@pytest.mark.parametrize("type_", ["double", "float"])
def test_float64_becomes_float32(tmp_path: Path, type_: str) -> None:
    """onnxruntime has no float64 convolution; NPUs compute in less anyway."""
    text = f"""g ({type_}[1,3,8,8] x) => ({type_}[1,2,6,6] y) {{
        a = Cast<to = 11>(x)
        b = Conv(a, w)
        y = Cast<to = {11 if type_ == "double" else 1}>(b)
    }}"""
    weight = np.random.default_rng(0).standard_normal((2, 3, 3, 3))
    told, work = export(tmp_path, parsed(text, {"w": weight}), X)
    assert told == Told()
    after = exported(work)
    assert {t.dtype for t in (*input_types(after).values(), *output_types(after).values())} == {
        "float32"
    }
    image, expected = NUMBERS[0].astype(np.float64), np.zeros((1, 2, 6, 6))
    for i, j in itertools.product(range(3), range(3)):
        part = image[:, i : i + 6, j : j + 6]
        expected[0] += np.einsum("chw,oc->ohw", part, weight[:, :, i, j])
    actual = FloatRun(after)({"x": NUMBERS})["y"].astype(np.float64)
    np.testing.assert_allclose(actual, expected, atol=27 * 2.0**-24 * 16)
    assert work.json("export.json")["changes"] == [
        "float64 is float32 here: the NPU computes in less"
    ]


def test_float64_beyond_float32_is_refused(tmp_path: Path) -> None:
    text = "g (double[1,3,8,8] x) => (double[1,3,8,8] y) { y = Mul(x, w) }"
    told, _ = export(tmp_path, parsed(text, {"w": np.array([1e200])}), X)
    assert told.what == "the float64 weight `w` holds 1e+200, beyond float32"


NEWER: dict[str, tuple[int, str, str]] = {
    "Gelu": (20, "float[1,3,8,8]", "y = Gelu(x)"),
    "Gelu of float16": (20, "float16[1,3,8,8]", "y = Gelu(x)"),
    "Gelu by tanh": (20, "float[1,3,8,8]", 'y = Gelu<approximate = "tanh">(x)'),
    "GroupNormalization": (
        21,
        "float[1,3,8,8]",
        "s = Constant<value_floats = [1.0, 2.0, -3.0]>() "
        "y = GroupNormalization<num_groups = 3, epsilon = 0.1>(x, s, s)",
    ),
    "RMSNormalization": (
        23,
        "float[1,3,8,8]",
        "s = Constant<value_floats = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]>() "
        "y = RMSNormalization(x, s)",
    ),
    "GridSample": (
        20,
        "float[1,3,8,8]",
        'g = Constant<value_floats = [0.1, -0.2]>() t = Constant<value = int64[4] {1,8,8,2}>() '
        'e = Expand(g, t) y = GridSample<mode = "linear">(x, e)',
    ),
    "Mish as before": (22, "float[1,3,8,8]", "y = Mish(x)"),
}  # fmt: skip


def attention_of(
    shapes: Sequence[Sequence[int]], mask: type | None, attributes: Mapping[str, Any]
) -> onnx.ModelProto:
    """One Attention over inputs q, k, v and perhaps m, a mask of every query and key."""
    b = Builder(0)
    inputs = dict(zip("qkv", shapes, strict=True))
    if mask is not None:
        inputs["m"] = (6, 6)
    b.nodes.append(helper.make_node("Attention", [*inputs], ["y"], "attention", **attributes))
    made = b.model(inputs, ["y"], 23)
    if mask is bool:
        made.graph.input[3].type.tensor_type.elem_type = onnx.TensorProto.BOOL
    return made


THREE, FOUR = [(2, 6, 32)] * 3, [(1, 4, 6, 8)] * 3
FEWER = [(1, 4, 6, 8), (1, 2, 9, 8), (1, 2, 9, 5)]
FEWER_THREE = [(1, 6, 32), (1, 9, 16), (1, 9, 10)]
ATTENTION: dict[str, tuple[Sequence[Sequence[int]], type | None, dict[str, Any]]] = {
    "heads of three axes": (THREE, None, {"q_num_heads": 4, "kv_num_heads": 4}),
    "four axes": (FOUR, None, {"scale": 0.5}),
    "fewer heads of keys, causal": (FEWER, None, {"is_causal": 1}),
    "the same of three axes": (
        FEWER_THREE,
        None,
        {"q_num_heads": 4, "kv_num_heads": 2, "softcap": 2.0},
    ),
    "a mask that is added": (FOUR, float, {"softcap": 2.0}),
    "a mask of what counts": (FOUR, bool, {}),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_written_out(name: str) -> None:
    """onnx 1.18's own body gives others than onnxruntime for every one of these."""
    shapes, mask, attributes = ATTENTION[name]
    model = attention_of(shapes, mask, attributes)
    lowered = lower_opset(model).model
    assert opset(lowered) == 19
    assert "Attention" not in operator_counts(lowered)
    random = np.random.default_rng(1)
    values: dict[str, Any] = {
        key: random.normal(0, 3, shape).astype(np.float32)
        for key, shape in zip("qkv", shapes, strict=True)
    }
    if mask is float:
        values["m"] = random.normal(0, 3, (6, 6)).astype(np.float32)
    if mask is bool:
        values["m"] = (random.random((6, 6)) > 0.5) | np.eye(6, dtype=bool)
    expected, actual = (FloatRun(one)(values)["y"].astype(np.float64) for one in (model, lowered))
    np.testing.assert_allclose(actual, expected, atol=2.0**-18 * np.abs(expected).max())


@pytest.mark.parametrize("name", NEWER)
def test_operators_newer_than_the_sdk_reads_are_written_out(tmp_path: Path, name: str) -> None:
    version, type_, body = NEWER[name]
    model = parsed(f"g ({type_} x) => ({type_} y) {{ {body} }}", opset=version)
    kind = "float16" if "float16" in type_ else "float32"
    told, work = export(tmp_path, model, {"x": recipe_input([1, 3, 8, 8], kind)})
    assert told == Told()
    after = exported(work)
    assert opset(after) == 19
    assert after.functions == []
    is_kept = name.split()[0] in ("GridSample", "Mish")
    assert (name.split()[0] in operator_counts(after)) == is_kept
    given = {"x": NUMBERS.astype(kind)}
    expected, actual = (FloatRun(one)(given)["y"].astype(np.float64) for one in (model, after))
    rounding = 2.0**-10 if kind == "float16" else 2.0**-20
    np.testing.assert_allclose(actual, expected, atol=rounding * np.abs(expected).max(), rtol=0)


def test_casts_of_a_body_are_constants(tmp_path: Path) -> None:
    """CastLike reads data: unfolded, it runs on the CPU three times."""
    model = parsed("g (float[1,3,8,8] x) => (float[1,3,8,8] y) { y = Gelu(x) }", opset=20)
    _, work = export(tmp_path, model, X)
    counts = operator_counts(exported(work))
    counts.pop("Constant")
    assert counts == {"Add": 1, "Div": 1, "Erf": 1, "Mul": 2}


def test_erfc_is_written_out() -> None:
    """tf2onnx leaves it in the graph."""
    text = "g (float[1,3,8,8] x) => (float[1,3,8,8] y) { one = Relu(x) a = Erfc(one) y = Erfc(a) }"
    model = parsed(text)
    write_out_erfc(model)
    check_graph(model, full=True)
    inner = [math.erfc(max(float(value), 0)) for value in NUMBERS.ravel()]
    expected = [math.erfc(value) for value in inner]
    actual = FloatRun(model)({"x": NUMBERS})["y"].astype(np.float64).ravel()
    np.testing.assert_allclose(actual, expected, atol=2.0**-21)
