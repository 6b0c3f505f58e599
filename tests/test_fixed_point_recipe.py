"""Recipes of the backend fixed_point: what is refused and how, what a sweep means, the plan."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from pipelines.backends import json_schema
from pipelines.backends.fixed_point.recipe.options import FixedPoint
from pipelines.backends.recipes import load
from pipelines.building import dvc_yaml, plan
from pipelines.building.plan import Plan
from pipelines.files.where import Problems
from pipelines.recipe.define.model import Evaluate, Gates, Recipe, Samples
from pipelines.recipe.yaml.tree import compose
from tests.test_recipe import JUNK, places
from tests.vacuous import some

FILE = "models/tiny/recipe.yaml"
VALIDATOR = jsonschema.Draft7Validator(json_schema.schema())
HEAD = """\
model: tiny
source: {onnx: m.onnx}
inputs: {x: {shape: [1, 4]}, user: {shape: [1], dtype: int64}}
quantize: {calibration: {npy: {x: x.npy, user: y.npy}}}
targets:
"""

# Name -> (the lines below `targets:`, what is said without the file's name).
REFUSED = {
    "no input_scale": (
        "  int8: {backend: fixed_point}",
        """\
6:3: target `int8` has no `input_scale`
  add `input_scale: 16` (images 4 to 32, text 1 to 8), or a list to compare""",
    ),
    "values": (
        "  int8: {backend: fixed_point, input_scale: 0, bias_mode: b32, rounding: up, shifts: none,"
        " weights: row, weight_rounding: up, equalize: maybe, activations: up}",
        """\
6:45: `input_scale` can't be 0
  write a whole number, 1 or more
6:59: no bias mode `b32`
  known: B16, B8
6:74: no rounding `up`
  known: compensated, truncate
6:86: no shifts `none`
  known: calibrated, constant, data_free
6:101: no weights `row`
  known: channel, tensor
6:123: no weight rounding `up`
  known: auto, gptq, nearest
6:137: `equalize` can't be `maybe`
  write true or false
6:157: no kind of activations `up`
  known: signed, unsigned""",
    ),
    "unsigned and constant": (
        "  int8: {backend: fixed_point, input_scale: 4, activations: unsigned, shifts: constant}",
        """\
6:61: `activations: unsigned` has no effect with `shifts: constant`
  delete one of them""",
    ),
    "lists": (
        "  int8: {backend: fixed_point, input_scale: [4, 4, 1.5], bias_mode: [B8, b8]}\n"
        "  b: {backend: fixed_point, input_scale: []}",
        """\
6:49: `input_scale` names `4` twice
  keep one of them
6:52: `input_scale` can't be 1.5
  write a whole number, 1 or more; or 0.5, 0.25 and so on for inputs beyond 127
6:74: `bias_mode` names `B8` twice
  keep one of them
7:42: `input_scale` has 0 items
  write a list, at least one: a whole number, 1 or more; or 0.5, 0.25 and so on for inputs \
beyond 127; or a mapping, input: a whole number, 1 or more; or 0.5, 0.25 and so on for inputs \
beyond 127""",
    ),
    "inputs": (
        "  int8: {backend: fixed_point, input_scale: {X: 4, user: 2}}\n"
        "  b: {backend: fixed_point, input_scale: [{user: 2}]}",
        """\
6:46: no input `X`
  did you mean `x`?
6:52: input `user` holds indices (int64), which have no scale
  delete it
7:43: no input_scale for the input `x`
  add `x: 16`
7:44: input `user` holds indices (int64), which have no scale
  delete it""",
    ),
    "keys of the other backend": (
        "  int8: {backend: fixed_point, input_scale: 4, platform: rk3588, toolchain: rknn-2.5.0,\n"
        "    build: {layers: {a: float16}}, rknn: {load: direct},\n"
        "    quantize: {algorithm: mmse, rknn: {optimization_level: 2}}}\n"
        "  rk3588: {bias_mode: B8, equalize: true}",
        """\
6:48: `platform` has no effect with `backend: fixed_point`
  delete it, or write `backend: rknn`
6:66: `toolchain` has no effect with `backend: fixed_point`
  delete it, or write `backend: rknn`
7:5: `build` has no effect with `backend: fixed_point`
  delete it, or write `backend: rknn`
7:36: `rknn` has no effect with `backend: fixed_point`
  delete it, or write `backend: rknn`
8:16: `algorithm` has no effect with `backend: fixed_point`
  delete it, or write `backend: rknn`
8:33: `rknn` has no effect with `backend: fixed_point`
  delete it, or write `backend: rknn`
9:12: `bias_mode` has no effect with `backend: rknn`, which a target has where it names none
  delete it, or write `backend: fixed_point`
9:27: `equalize` has no effect with `backend: rknn`, which a target has where it names none
  delete it, or write `backend: fixed_point`""",
    ),
    "a forgotten backend": (
        "  int8: {input_scale: 4}",
        """\
6:10: `input_scale` has no effect with `backend: rknn`, which a target has where it names none
  delete it, or write `backend: fixed_point`""",
    ),
    "sections that nobody reads": (
        "  int8: {backend: fixed_point, input_scale: 4}\n"
        "build: {layers: {a: float16}}\nrknn: {load: convert}",
        """\
7:1: `build` is read by the backend rknn, and no target has it
  delete it, or add a target such as `rk3588: {}`
8:1: `rknn` is read by the backend rknn, and no target has it
  delete it, or add a target such as `rk3588: {}`""",
    ),
    "names": (
        "  int8: {backend: fixed_point, input_scale: [4, 8]}\n"
        "  int8-s4: {backend: fixed_point, input_scale: 4}",
        """\
6:3: target `int8` sweeps into `int8-s4`, which is a target too
  rename one of them""",
    ),
    "misplaced": (
        "  int8: {backend: fixed_point, input_scale: 4, quantize: {bias_mode: B8}}\n"
        "shifts: constant",
        """\
6:59: unknown key `bias_mode`
  write it under `targets: NAME`
7:1: unknown key `shifts`
  write it under `targets: NAME`""",
    ),
    "gates without labels": (
        "  int8: {backend: fixed_point, input_scale: 4, gates: {min_accuracy: 0.5}}",
        """\
6:56: `min_accuracy` needs labelled data
  add `evaluate: {inputs: FILE.npy, labels: FILE.npy}`""",
    ),
    "labels": (
        "  int8: {backend: fixed_point, input_scale: 4}\noutputs: [a, b]\n"
        "evaluate: {inputs: {x: x.npy, user: y.npy}, labels: {a: y.npy, c: y.npy}}",
        """\
8:64: no output `c`
  outputs: a, b""",
    ),
}


def parse(folder: Path, text: str) -> Recipe:
    (folder / "recipe.yaml").write_text(text)
    return load(folder / "recipe.yaml", folder.parents[1])


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    for name in ("m.onnx", "x.npy", "y.npy"):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_with_exactly_this_text(name: str, tiny: Path) -> None:
    text, expected = REFUSED[name]
    with pytest.raises(Problems) as caught:
        parse(tiny, HEAD + text + "\n")
    assert str(caught.value).replace(f"{FILE}:", "") == expected


def test_calibration_is_needed_for_calibrated_shifts_alone(tiny: Path) -> None:
    head = HEAD.replace("quantize: {calibration: {npy: {x: x.npy, user: y.npy}}}\n", "")
    text = head + "  int8: {backend: fixed_point, input_scale: 4%s}\n"
    with pytest.raises(Problems) as caught:
        parse(tiny, text % "")
    assert str(caught.value) == (
        f"{FILE}:5:3: shifts `calibrated` need calibration data\n"
        "  add `quantize: {calibration: {images: FOLDER, samples: 20}}` (or list:, or npy:), or "
        "`shifts: data_free`"
    )
    for shifts in ("data_free", "constant"):
        assert parse(tiny, text % f", shifts: {shifts}").targets


ONE = HEAD + "  int8: {backend: fixed_point, input_scale: 16, bias_mode: b16, weights: channel}\n"
SWEEP = HEAD + (
    "  int8: {backend: fixed_point, input_scale: [4, {x: 8}], bias_mode: [b8, B16],\n"
    "    rounding: truncate, equalize: no, quantize: {calibration: {samples: 2}}}\n"
    "  rk3588: {quantize: {algorithm: mmse}}\n"
    "  plain: {backend: fixed_point, input_scale: [1, 0.5], shifts: constant}\n"
)


def test_one_target(tiny: Path) -> None:
    target = parse(tiny, ONE).targets["int8"]
    assert (target.family, target.platform, target.toolchain) == ("int8", None, "core")
    assert target.options == FixedPoint(16, "B16", weights="channel")
    assert target.calibration == Samples(npy={"x": "x.npy", "user": "y.npy"})


def test_a_sweep_is_a_target_for_each_value(tiny: Path) -> None:
    targets = parse(tiny, SWEEP).targets
    int8 = ["int8-s4-b8", "int8-s4-b16", "int8-s8-b8", "int8-s8-b16"]
    assert list(targets) == [*int8, "rk3588", "plain-s1", "plain-s0p5"]
    assert targets["int8-s8-b16"].options == FixedPoint({"x": 8}, "B16", "truncate", equalize=False)
    assert targets["plain-s0p5"].options == FixedPoint(0.5, shifts="constant")
    assert {targets[name].family for name in int8} == {"int8"}
    calibration = Samples(npy={"x": "x.npy", "user": "y.npy"}, samples=2)
    assert targets["int8-s4-b8"].calibration == calibration


def test_a_target_has_gates_of_its_own(tiny: Path) -> None:
    gates = "gates: {min_cosine: 0.9, max_size_ratio: 2}\n"
    text = ONE.replace("weights: channel", "gates: {min_cosine: null, max_float_layers: 1}") + gates
    recipe = parse(tiny, text)
    assert recipe.gates == Gates(min_cosine=0.9, max_size_ratio=2)
    assert recipe.targets["int8"].gates == Gates(max_size_ratio=2, max_float_layers=1)


@pytest.mark.parametrize("text", [ONE, SWEEP])
def test_the_schema_accepts_what_is_accepted(text: str, tiny: Path) -> None:
    (tiny / "recipe.yaml").write_text(text.replace("equalize: no", "equalize: false"))
    raw = compose(tiny / "recipe.yaml", FILE).raw
    assert [error.message for error in VALIDATOR.iter_errors(raw)] == []


def test_junk_in_any_place_is_accepted_or_refused(tiny: Path) -> None:
    """As tests/test_recipe.py has it for the other backend."""
    refused = 0
    root = yaml.compose(SWEEP)
    assert root is not None
    targets = next(value for key, value in root.value if key.value == "targets")
    for node in some(list(places(targets))[1:]):
        begin, end = node.start_mark.index, node.end_mark.index
        gap = "\n" if SWEEP[begin - 1 : end].endswith("\n") else ""
        for junk in JUNK:
            try:
                parse(tiny, f"{SWEEP[:begin]} {junk}{gap}{SWEEP[end:]}")
            except Problems as problems:
                refused += 1
                assert all(p.where.line and p.what and p.advice for p in some(problems.problems))
    assert refused > 300


def plan_of(tiny: Path, text: str) -> Plan:
    return plan.make({"tiny": parse(tiny, text)}, tiny.parents[1])


def test_a_sweep_shares_export_simplify_and_quantize(tiny: Path) -> None:
    steps = plan_of(tiny, SWEEP).steps
    own = [name.partition(":")[2] for name in steps if "rk3588" not in name]
    assert own == [
        *("export", "simplify", "quantize@int8"),
        *("build@int8-s4-b8", "analyze@int8-s4-b8", "build@int8-s4-b16", "analyze@int8-s4-b16"),
        *("build@int8-s8-b8", "analyze@int8-s8-b8", "build@int8-s8-b16", "analyze@int8-s8-b16"),
        *("quantize@plain", "build@plain-s1", "analyze@plain-s1"),
        *("build@plain-s0p5", "analyze@plain-s0p5"),
    ]
    quantize = steps["tiny:quantize@int8"]
    assert quantize.outputs == {"quantize": "models/tiny/build/int8/quantize"}
    assert set(quantize.sections) == {
        *("inputs", "quantize.calibration"),
        *("targets.int8.quantize.calibration", "targets.int8.equalize"),
    }
    assert "quantize.calibration" not in steps["tiny:quantize@plain"].sections
    # A value that the name tells is no parameter: another in the list makes nothing stale.
    assert set(steps["tiny:build@plain-s1"].sections) == {"targets.plain.shifts"}
    assert set(steps["tiny:build@int8-s4-b8"].sections) == {
        *("targets.int8.input_scale", "targets.int8.rounding")
    }


def test_the_name_of_a_sweep_stands_for_all_of_it(tiny: Path) -> None:
    made = plan_of(tiny, SWEEP)
    groups = made.groups(made.recipes["tiny"])
    assert [step.name for step in groups["plain-s1"]] == [
        *("tiny:build@plain-s1", "tiny:analyze@plain-s1")
    ]
    assert [step.name for step in groups["plain"]] == [
        "tiny:quantize@plain",
        *("tiny:build@plain-s1", "tiny:analyze@plain-s1"),
        *("tiny:build@plain-s0p5", "tiny:analyze@plain-s0p5"),
    ]


def test_the_registry_has_both_files(tiny: Path) -> None:
    text = dvc_yaml.registry_text(plan_of(tiny, ONE))
    for kind in ("onnx", "tflite"):
        assert f"  tiny/int8/{kind}:\n    path: models/tiny/build/int8/tiny_quant.{kind}\n" in text


def test_labels_may_be_a_file_an_output(tiny: Path) -> None:
    text = ONE + "evaluate: {inputs: {x: x.npy, user: y.npy}, labels: {a: x.npy, b: y.npy}}\n"
    made = plan_of(tiny, text)
    inputs = {"x": "x.npy", "user": "y.npy"}
    assert made.recipes["tiny"].evaluate == Evaluate(inputs, {"a": "x.npy", "b": "y.npy"})
    analyze = made.steps["tiny:analyze@int8"]
    assert analyze.inputs["evaluate_labels_1"] == "models/tiny/y.npy"
