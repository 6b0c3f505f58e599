"""Recipes: what is refused and how, what is accepted and what it means, schema, reference, SDK."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipelines.backends import document, json_schema
from pipelines.backends.fixed_point.recipe import keys as fixed_point
from pipelines.backends.qdq.recipe import keys as qdq
from pipelines.backends.recipes import load, load_all
from pipelines.backends.rknn.recipe import keys as rknn
from pipelines.backends.rknn.recipe import vendor
from pipelines.backends.rknn.recipe.options import Build, Quantize, options
from pipelines.backends.table import BACKENDS, DEFINITIONS
from pipelines.files.where import Problems, Where
from pipelines.recipe.define import model, sections
from pipelines.recipe.define.model import (
    Analyze,
    Input,
    Recipe,
    Samples,
    Simplify,
    Source,
)
from pipelines.recipe.kinds.containers import ListOf
from pipelines.recipe.kinds.scalars import Choice
from pipelines.recipe.kinds.section import Section
from pipelines.recipe.yaml.tree import compose
from tests import warm_toolchains
from tests.vacuous import some

ROOT = Path(__file__).resolve().parent.parent
BAD = Path(__file__).parent / "recipes"
FILE = "models/tiny/recipe.yaml"

FILES = (
    *("m.onnx", "m.tflite", "m.pt", "m.keras", "net.py", "layers.py", "w.safetensors"),
    *("x.npy", "y.npy", "dataset.txt", "control.txt", "data/faces/1.jpg", "saved/saved_model.pb"),
    "../../shared/z.npy",
)


def make_files(root: Path) -> Path:
    """A project with one model's files, all empty: only their names matter. Returns its folder."""
    folder = root / "models/tiny"
    (root / "models/other").mkdir(parents=True)
    for file in FILES:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_files(tmp_path)


def parse(tiny: Path, text: str) -> Recipe:
    (tiny / "recipe.yaml").write_text(text)
    return load(tiny / "recipe.yaml", tiny.parents[1])


def refusal(tiny: Path, text: str) -> str:
    with pytest.raises(Problems) as caught:
        parse(tiny, text)
    return str(caught.value)


GOOD = """\
model: tiny
description: RFB-320 face detector
source: {onnx: m.onnx}
inputs:
  input: {shape: [1, 3, 240, 320], mean: [127, 127, 127], std: 128, color: rgb}
simplify:
  rewrite: [fold_batch_norm]
quantize:
  calibration: {images: data/faces, samples: 20}
  algorithm: normal
  rknn: {optimization_level: 3, op_target: {a: cpu}}
build: {layers: {/head/Add_output_0: float16, '459': int16}}
analyze: {samples: 3}
evaluate: {inputs: x.npy, labels: y.npy, metric: top1}
targets:
  rk3588: {}
  rk3566:
    quantize: {algorithm: kl_divergence, calibration: {samples: 5}}
    build: {layers: {head: int8}}
  old:
    platform: rk3588
    toolchain: rknn-2.3.2
    quantize:
      calibration: {npy: x.npy}
      rknn: {op_target: {b: gpu}, single_core_mode: true}
    analyze: {list: dataset.txt}
    rknn: {outputs: [459, head]}
  float: {platform: rk3588, quantize: {dtype: float16}}
gates: {min_cosine: 0.99, max_size_ratio: 1.5, min_accuracy: 0.5}
limits: {minutes: 30}
"""

# Each a whole recipe that must be accepted. `$` stands for the usual head.
HEAD = "model: tiny\nsource: {onnx: m.onnx}\n"
INPUT = "inputs: {x: {shape: [1, 3, 8, 8], color: rgb}}\n"
IMAGES = "quantize: {calibration: {images: data/faces}}\n"
TARGET = "targets: {rk3588: {}}\n"
ACCEPTED = {
    "all sections": GOOD,
    "shortest": HEAD + "quantize: {dtype: float16}\n" + TARGET,
    "sections and targets without a value": (
        HEAD + "build:\nanalyze:\nrknn:\nquantize: {dtype: float16}\ntargets:\n  rk3588:\n"
    ),
    "torch": (
        "model: tiny\nsource: {torch: net.py:build, weights: w.safetensors, "
        "arguments: {width: 1e-1, layers: [1, 2], name: on}, "
        "exporter: dynamo, opset: 18, dependencies: [layers.py]}\n"
        + INPUT + IMAGES + TARGET
    ),
    "torchscript, loaded directly": (
        "model: tiny\nsource: {torchscript: m.pt}\n" + INPUT + IMAGES + "rknn: {load: direct}\n"
        "targets:\n  rk3588:\n    toolchain: rknn-2.5.0-torch\n"
        "    rknn: {input_size_list: [[1, 3, 8, 8]]}\n"
    ),
    "quantized tflite, loaded directly": (
        "model: tiny\nsource: {tflite: m.tflite}\nquantize: {dtype: prequantized}\n"
        "rknn: {load: direct, input_is_nchw: false}\n"
        "inputs: {x: {shape: [1, 8, 8, 3]}}\n"
        "targets: {rv1106: {toolchain: rknn-2.5.0-tensorflow}}\n"
    ),
    "keras": "model: tiny\nsource: {keras: m.keras, opset: 13}\nquantize: {calibration: "
    "{npy: {a: x.npy, b: ../../shared/z.npy}}}\ninputs: {a: {}, b: {shape: [4]}}\n" + TARGET,
    "saved_model": "model: tiny\nsource: {saved_model: saved}\nquantize: {calibration: "
    "{npy: [x.npy, y.npy]}}\n" + TARGET,
    "cut, and an input made constant": (
        HEAD + "inputs: {a: {shape: [1, 4]}, b: {shape: [1, 4]}}\n"
        "quantize: {calibration: {list: dataset.txt}}\n"
        "rknn: {inputs: [a, 7], input_size_list: [[1, 4], [1, 4]], input_initial_val: "
        "[null, [[1, 2.5, 3, 1e-3]]], outputs: [c]}\n" + TARGET
    ),
    "every option of 2.5.0": (
        HEAD + INPUT + """\
quantize:
  calibration: {images: data/faces}
  rknn_batch_size: 4
  method: layer
  hybrid: {proposal: yes, proposal_dataset_size: 2, custom_hybrid: [[a, b]]}
  rknn: {quantized_hybrid_level: 3, float_dtype: bfloat16, optimization_level: 0,
    custom_string: v1, remove_weight: off, compress_weight: true, inputs_yuv_fmt: null,
    single_core_mode: on, dynamic_input: null, model_pruning: true,
    op_target: {a: auto}, quantize_weight: false, remove_reshape: true, sparse_infer: true,
    mini_rknn: true, enable_flash_attention: true, auto_hybrid_cos_thresh: 9e-1,
    auto_hybrid_euc_thresh: null, memory_plan_strategy: SlowPeakGrowth, compute_order: DepthFirst,
    compiler_control_file: control.txt, output_optimize: false, set_op_attr: {a: {b: 1}},
    sram_prefer: true, nbuf_prefer: true, check_data: [], stream_op: {conv: exConvStreaming},
    disable_rules: [convert_global_avgpool_to_conv], enable_const_share: true,
    enable_rnn_loop: true, enable_core0_only_mode: true, disable_first_conv: true}
targets: {rk3576: {}}
"""
    ),
    "dynamic shapes": (
        HEAD + INPUT + IMAGES
        + "targets:\n  rk3588:\n"
        "    quantize: {rknn: {dynamic_input: [[[1, 3, 8, 8]], [[1, 3, 4, 4]]]}}\n"
    ),
    "YUV frames": (
        HEAD + INPUT + IMAGES + "targets: {rk3588: {quantize: {rknn: {inputs_yuv_fmt: [nv12]}}}}\n"
    ),
    "4-bit weights": (
        HEAD + INPUT + IMAGES
        + "targets:\n  rk3576: {quantize: {dtype: w4a16, method: group32}}\n"
        "  rv1126b: {toolchain: rknn-2.5.0-torch, quantize: {dtype: w4a16, algorithm: gdq}}\n"
        "  rk3562: {quantize: {dtype: w8a16, algorithm: mmse}}\n"
        "  rk3588s: {toolchain: rknn-2.3.2, quantize: {dtype: w16a16i}}\n"
    ),
    "aliases and merges": (
        HEAD + INPUT + IMAGES
        + "targets:\n  rk3588: &base\n"
        "    quantize: {algorithm: mmse}\n    build: {cpp_gen_cfg: true}\n"
        "  rk3566: *base\n  rk3568:\n    <<: *base\n    build: {auto_hybrid: true}\n"
    ),
    "float16, and nothing to choose": (
        HEAD + INPUT + "quantize: {dtype: float16}\nbuild: {auto_hybrid: true}\n" + TARGET
    ),
    "BOM, CRLF, quoted keys": (
        "\ufeff\"model\": tiny\r\n'source': {onnx: \"m.onnx\"}\r\nquantize: {dtype: float16}\r\n"
        + TARGET
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str, tiny: Path) -> None:
    assert parse(tiny, ACCEPTED[name]).model == "tiny"


@pytest.mark.parametrize("folder", sorted(p.name for p in BAD.glob("bad-*")))
def test_refuses_with_exactly_this_text(folder: str, tiny: Path) -> None:
    shutil.copy(BAD / folder / "recipe.yaml", tiny / "recipe.yaml")
    with pytest.raises(Problems) as caught:
        load(tiny / "recipe.yaml", tiny.parents[1])
    assert f"{caught.value}\n" == (BAD / folder / "expected.txt").read_text()


def test_every_problem_says_where_and_what_to_do() -> None:
    for file in some(sorted(BAD.glob("bad-*/expected.txt"))):
        lines = file.read_text().splitlines()
        assert len(lines) % 2 == 0, file
        for what, advice in some(zip(lines[::2], lines[1::2], strict=True)):
            where, _, _ = what.partition(": ")
            assert where.startswith(f"{FILE}:") and where.count(":") == 2, what
            assert advice.startswith("  ") and len(advice) > 5, what


# What a recipe means


def test_source_inputs_and_the_rest(tiny: Path) -> None:
    recipe = parse(tiny, GOOD)
    assert recipe.file == FILE and recipe.folder == "models/tiny"
    assert recipe.description == "RFB-320 face detector"
    assert recipe.source == Source("onnx", "m.onnx")
    given = Input((1, 3, 240, 320), "float32", (127.0,) * 3, (128.0,) * 3, "rgb")
    assert recipe.inputs == {"input": given}
    assert recipe.simplify == Simplify(rewrite=("fold_batch_norm",))
    assert recipe.evaluate == model.Evaluate("x.npy", "y.npy")
    assert recipe.gates == model.Gates(min_cosine=0.99, max_size_ratio=1.5, min_accuracy=0.5)
    assert recipe.limits == model.Limits(minutes=30)
    assert recipe.calibration == Samples(images="data/faces", samples=20)


def test_a_target_sees_the_recipe_with_its_own_keys_over_it(tiny: Path) -> None:
    targets = parse(tiny, GOOD).targets
    layers = {"/head/Add_output_0": "float16", "459": "int16"}
    plain = targets["rk3588"]
    assert (plain.platform, plain.backend, plain.toolchain) == ("rk3588", "rknn", "rknn-2.5.0")
    assert plain.calibration == Samples(images="data/faces", samples=20)
    assert options(plain).quantize == Quantize(
        rknn={"optimization_level": 3, "op_target": {"a": "cpu"}},
    )
    assert options(plain).build == Build(layers=layers)
    assert plain.analyze == Analyze(Samples(images="data/faces", samples=3))
    assert options(plain).load == {"load": "convert"}
    assert plain.where == Where(FILE, 16, 3)

    other = targets["rk3566"]
    assert options(other).quantize.algorithm == "kl_divergence"
    assert other.calibration == Samples(images="data/faces", samples=5)
    assert options(other).build.layers == {**layers, "head": "int8"}

    old = targets["old"]
    assert (old.platform, old.toolchain) == ("rk3588", "rknn-2.3.2")
    assert old.calibration == Samples(npy=("x.npy",), samples=20)
    config = {"optimization_level": 3, "op_target": {"b": "gpu"}, "single_core_mode": True}
    assert options(old).quantize.rknn == config
    assert old.analyze == Analyze(Samples(list="dataset.txt", samples=3))
    assert options(old).load == {"load": "convert", "outputs": ["459", "head"]}


def test_a_float_target_inherits_no_hybrid_layers(tiny: Path) -> None:
    target = parse(tiny, GOOD).targets["float"]
    assert options(target).quantize.dtype == "float16"
    assert options(target).build == Build()


def test_null_takes_an_option_back_to_the_default(tiny: Path) -> None:
    text = (
        HEAD + INPUT + "quantize: {calibration: {images: data/faces}, rknn: {custom_string: x}}\n"
    )
    recipe = parse(tiny, text + "targets: {rk3588: {quantize: {rknn: {custom_string: null}}}}\n")
    assert options(recipe.targets["rk3588"]).quantize.rknn == {}


@pytest.mark.parametrize(
    ("calibration", "analyze", "expected"),
    [
        ("{npy: x.npy}", "", 4),
        ("{npy: x.npy, samples: 2}", "", 2),
        ("{npy: x.npy, samples: 100}", "", 4),
        ("{npy: x.npy, samples: 100}", "analyze: {samples: 50}", 50),
        ("{npy: x.npy}", "analyze: {npy: y.npy}", 4),
    ],
)
def test_analysis_samples(calibration: str, analyze: str, expected: int, tiny: Path) -> None:
    text = f"{HEAD}quantize: {{calibration: {calibration}}}\n{analyze}\n{TARGET}"
    samples = parse(tiny, text).targets["rk3588"].analyze.samples
    assert samples is not None
    is_written = "analyze: {samples" in analyze
    assert (samples.samples, samples.at_most) == (
        (expected, None) if is_written else (None, expected)
    )
    assert samples.npy == (("y.npy",) if "y.npy" in analyze else ("x.npy",))


def test_torch_source(tiny: Path) -> None:
    source = parse(tiny, ACCEPTED["torch"]).source
    arguments = {"width": 0.1, "layers": [1, 2], "name": "on"}
    assert source == Source(
        "torch", "net.py", "build", "w.safetensors", arguments, "dynamo", 18, ("layers.py",)
    )


def test_platform_aliases_become_the_sdk_s_name(tiny: Path) -> None:
    assert parse(tiny, ACCEPTED["4-bit weights"]).targets["rk3588s"].platform == "rk3588"


def test_merged_and_aliased_values(tiny: Path) -> None:
    targets = parse(tiny, ACCEPTED["aliases and merges"]).targets
    assert options(targets["rk3566"]).quantize == options(targets["rk3588"]).quantize
    assert targets["rk3566"].calibration == targets["rk3588"].calibration
    assert options(targets["rk3568"]).quantize.algorithm == "mmse"
    assert options(targets["rk3568"]).build == Build(auto_hybrid=True)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{shape: [1, 1, 4, 4], mean: 3}", (3.0,)),
        ("{shape: [1, 3, 4, 4], mean: 3}", (3.0, 3.0, 3.0)),
        ("{shape: [1, 3, 4, 4], mean: [3]}", (3.0, 3.0, 3.0)),
        ("{shape: [1, 3, 4, 4], mean: [1, 2, 3]}", (1.0, 2.0, 3.0)),
        ("{shape: [1, 5], mean: 3}", (3.0,) * 5),  # axis 1, as the SDK counts channels
        ("{shape: [5], mean: 3}", (3.0,)),
        ("{mean: 3}", (3.0,)),
        ("{color: bgr, mean: 3}", (3.0, 3.0, 3.0)),
        ("{shape: [1, 3, 4, 4]}", None),
    ],
)
def test_mean_is_one_number_a_channel(
    given: str, expected: tuple[float, ...] | None, tiny: Path
) -> None:
    text = f"{HEAD}inputs: {{x: {given}}}\nquantize: {{dtype: float16}}\n{TARGET}"
    assert parse(tiny, text).inputs["x"].mean == expected


def test_recipes_are_plain_data_that_can_be_copied(tiny: Path) -> None:
    recipe = parse(tiny, GOOD)
    json.dumps([dataclasses.asdict(target) for target in recipe.targets.values()])
    assert copy.deepcopy(recipe) == recipe


# Where things stand, and what counts as a change


def test_marks_point_at_the_keys(tiny: Path) -> None:
    recipe = parse(tiny, GOOD)
    lines = GOOD.splitlines()
    assert len(recipe.marks) == key_count(yaml.safe_load(GOOD))
    for path, where in recipe.marks.items():
        key = path.removesuffix("_output_0") if path.endswith("/Add_output_0") else path
        text = lines[where.line - 1][where.column - 1 :].lstrip("'")
        assert text.startswith(key.rpartition(".")[2]), path
    assert recipe.where("targets.old.quantize.rknn.op_target.b") == Where(FILE, 25, 26)
    assert recipe.where("targets.old.quantize.method") == Where(FILE, 23, 5)
    assert recipe.where("nowhere") == Where(FILE, 1, 1)


def key_count(data: Any) -> int:
    return sum(1 + key_count(value) for value in data.values()) if isinstance(data, dict) else 0


def shuffled(data: Any) -> Any:
    """The same data with the keys of every mapping in the opposite order."""
    if isinstance(data, dict):
        return {key: shuffled(value) for key, value in reversed(data.items())}
    return data


def test_comments_and_the_order_of_keys_are_no_change(tiny: Path) -> None:
    recipe = parse(tiny, GOOD)
    commented = parse(tiny, "# hello\n\n" + GOOD.replace("\n", "  # why\n"))
    assert commented.raw == recipe.raw
    assert commented.where("gates").line == recipe.where("gates").line + 2
    moved = parse(tiny, yaml.safe_dump(shuffled(yaml.safe_load(GOOD)), sort_keys=False))
    assert moved.raw == recipe.raw
    assert options(moved.targets["rk3588"]).quantize == options(recipe.targets["rk3588"]).quantize
    assert moved.targets["rk3588"].calibration == recipe.targets["rk3588"].calibration
    assert parse(tiny, GOOD.replace("samples: 20", "samples: 21")).raw != recipe.raw


# How YAML 1.2 reads a plain scalar; DVC's ruamel.yaml reads it so too.
SCALARS: dict[str, Any] = {
    "": None, "~": None, "null": None, "NULL": None, "none": "none", "nul": "nul",
    "true": True, "False": False, "TRUE": True, "yes": "yes", "on": "on", "off": "off", "n": "n",
    "0": 0, "-7": -7, "+7": 7, "1_000": 1000, "017": 17, "0o17": 15, "0x1F": 31, "0b101": 5,
    "1.5": 1.5, ".5": 0.5, "5.": 5.0, "-.5": -0.5, "1e3": 1000.0, "1e-3": 0.001, "1E+2": 100.0,
    "6.02e23": 6.02e23, ".inf": float("inf"), "-.INF": float("-inf"),
    "12:30": "12:30", "12:30:45": "12:30:45", "1.2.3": "1.2.3", "0x": "0x", "1e": "1e",
    "'5'": "5", '"true"': "true", "!!str 5": "5", "!!int '5'": 5, "a b": "a b",
}  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_scalars(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"key: {text}\n")
    value = compose(tmp_path / "r.yaml", "r.yaml").raw["key"]
    assert value == SCALARS[text] and type(value) is type(SCALARS[text])


# Nothing but Problems, whatever the file holds

JUNK = (
    *("", "null", "true", "-1", "0", "1.5", ".nan", "99999999999999999999", "'text'", '""', "a b"),
    *("[]", "{}", "[1]", "[[]]", "[null]", "{a: 1}", "{a: {b: c}}", "[a, [b]]", "2024-01-01"),
)


def places(node: yaml.Node) -> Iterator[yaml.Node]:
    """Every value, from the outside in."""
    yield node
    if isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from places(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from places(value)


def test_junk_in_any_place_is_accepted_or_refused(tiny: Path) -> None:
    text = GOOD.replace("source: {onnx: m.onnx}", "source: {torch: net.py:build, opset: 15}")
    refused = 0
    root = yaml.compose(text)
    assert root is not None
    for node in some(list(places(root))[1:]):
        begin, end = node.start_mark.index, node.end_mark.index
        gap = "\n" if text[begin - 1 : end].endswith("\n") else ""
        for junk in JUNK:
            try:
                parse(tiny, f"{text[:begin]} {junk}{gap}{text[end:]}")
            except Problems as problems:
                refused += 1
                assert all(p.where.line and p.what and p.advice for p in some(problems.problems))
    assert refused > 1000


def test_any_part_of_a_recipe_is_accepted_or_refused(tiny: Path) -> None:
    lines = GOOD.splitlines(keepends=True)
    accepted = refused = 0
    for i in range(len(lines)):
        for text in ("".join(lines[:i] + lines[i + 1 :]), "".join(lines)[: i * 17]):
            try:
                parse(tiny, text)
                accepted += 1
            except Problems as problems:
                refused += 1
                assert all(p.where.line and p.what and p.advice for p in some(problems.problems))
    assert accepted and refused


def test_a_missing_file(tiny: Path) -> None:
    with pytest.raises(Problems, match=r"models/tiny/recipe.yaml: can't be read: No such file"):
        load(tiny / "recipe.yaml", tiny.parents[1])


# All recipes of a project


def test_load_all_collects_the_problems_of_all_files(tiny: Path) -> None:
    root = tiny.parents[1]
    parse(tiny, GOOD)
    for name in ("b", "a"):
        (root / f"models/{name}").mkdir()
        (root / f"models/{name}/recipe.yaml").write_text(f"model: {name}\nsource: {{onnx: m}}\n")
    (root / "models/yml").mkdir()
    (root / "models/yml/recipe.yml").touch()
    with pytest.raises(Problems) as caught:
        load_all(root)
    assert [(p.where.file, p.what) for p in caught.value.problems] == [
        ("models/a/recipe.yaml", "the recipe lacks the key `targets`"),
        ("models/a/recipe.yaml", "no file `m`"),
        ("models/b/recipe.yaml", "the recipe lacks the key `targets`"),
        ("models/b/recipe.yaml", "no file `m`"),
        ("models/yml/recipe.yml", "a recipe is called recipe.yaml"),
    ]


def test_load_all_sorts_and_passes_over_folders_without_a_recipe(tiny: Path) -> None:
    parse(tiny, GOOD)
    root = tiny.parents[1]
    shutil.copytree(tiny, root / "models/tiny2")
    (root / "models/tiny2/recipe.yaml").write_text(GOOD.replace("model: tiny", "model: tiny2"))
    (root / "models/notes.txt").touch()
    assert list(load_all(root)) == ["tiny", "tiny2"]
    assert load_all(root / "models") == {}


def test_the_project_s_own_recipes() -> None:
    for name, recipe in some(load_all(ROOT).items()):
        first = (ROOT / recipe.file).read_text().splitlines()[0]
        assert first == "# yaml-language-server: $schema=../recipe.schema.json", name


# Schema, reference, definitions


def test_the_schema_file_is_current() -> None:
    assert (ROOT / json_schema.FILE).read_text() == json_schema.text(), (
        "run: python -m pipelines.recipe.json_schema"
    )


def test_the_reference_is_current() -> None:
    assert (ROOT / document.FILE).read_text() == document.document(), (
        "run: python -m pipelines.recipe.document"
    )


VALIDATOR = jsonschema.Draft7Validator(json_schema.schema())


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema.schema())


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_schema_accepts_what_is_accepted(name: str, tiny: Path) -> None:
    raw = yaml_12(tiny, ACCEPTED[name])
    assert [error.message for error in VALIDATOR.iter_errors(raw)] == []


def yaml_12(tiny: Path, text: str) -> Any:
    """The text as an editor reads it, but YAML 1.1's flags, which only the parser understands."""
    for flag, value in (("yes", "true"), ("on", "true"), ("off", "false")):
        text = text.replace(f": {flag},", f": {value},")
    (tiny / "recipe.yaml").write_text(text)
    return compose(tiny / "recipe.yaml", FILE).raw


# What a schema can't judge: YAML itself, files, names of inputs and folders, one section against
# another, and what only one version or platform of the SDK takes.
BEYOND_A_SCHEMA = set(
    """
    calibration-count-only calibration-missing direct-onnx direct-torchscript
    divide-nothing divide-unread
    duplicate-keys images-two-inputs images-without-color images-without-inputs
    images-small-units images-without-shape merge-of-a-word model-name npy-names npy-two-inputs
    old-toolchains options-platforms options-versions prequantized prequantized-tflite
    source-torch-inputs
    source-torch-shapes tag yuv
    """.split()  # noqa: SIM905
)


def readable_bad_recipes() -> Iterator[str]:
    for folder in sorted(BAD.glob("bad-*")):
        try:
            compose(folder / "recipe.yaml", FILE)
        except Problems:
            continue
        yield folder.name


@pytest.mark.parametrize("name", list(readable_bad_recipes()))
def test_the_schema_refuses_what_a_schema_can(name: str) -> None:
    raw = compose(BAD / name / "recipe.yaml", FILE).raw
    assert VALIDATOR.is_valid(raw) == (name.removeprefix("bad-") in BEYOND_A_SCHEMA)


def test_every_key_is_documented() -> None:
    for section in some(DEFINITIONS.sections):
        assert section.doc.endswith("."), section.name
        for name, key in some(section.keys.items()):
            assert len(key.doc) > 4 and key.doc.rstrip("`").endswith((".", ":")), name


@pytest.mark.parametrize(
    ("section", "of"),
    [
        (sections.SOURCE, Source),
        (sections.INPUT, Input),
        (sections.SIMPLIFY, Simplify),
        (rknn.QUANTIZE, Quantize),
        (rknn.BUILD, Build),
        (sections.EVALUATE, model.Evaluate),
        (sections.GATES, model.Gates),
    ],
)
def test_every_field_of_the_model_is_a_key(section: Section, of: type) -> None:
    fields = {field.name for field in dataclasses.fields(of)}
    beside = {"name", "kind", "file", "function"}  # the key above, and what `torch:` etc. hold
    beside |= {"calibration"}  # model.Target has it, whatever the backend
    beside |= {"value"}  # of an input: model.Constant has it
    assert fields - beside == set(section.keys) - set(sections.SOURCES) - beside


def test_every_folder_of_a_backend_is_in_the_table() -> None:
    folders = {path.parent.name for path in (ROOT / "pipelines/backends").glob("*/backend.py")}
    assert folders == set(BACKENDS) == set(DEFINITIONS.backends)


@pytest.mark.parametrize(
    ("backend", "paths"),
    [
        ("rknn", {(key,) for key in (*fixed_point.KEYS, *qdq.KEYS)}),
        (
            "fixed_point",
            {
                *(("quantize", key) for key in rknn.QUANTIZE.keys if key != "calibration"),
                *(("platform",), ("toolchain",), ("build",), ("rknn",), ("runtime",)),
                *((key,) for key in qdq.KEYS),
            },
        ),
    ],
)
def test_what_only_other_backends_read(backend: str, paths: set[tuple[str, ...]]) -> None:
    assert {*DEFINITIONS.foreign(backend)} == paths


def test_every_file_of_a_rewrite_is_in_the_table() -> None:
    from quant.rewrites.table import ADAPTATIONS, RULES

    named, adapted = sections.SIMPLIFY.keys["rewrite"].kind, ROOT / "quant/rewrites/adaptations"
    folders = (ROOT / "quant/rewrites/named", ROOT / "quant/rewrites/cuts")
    assert set(RULES) == {file.stem for one in folders for file in one.glob("[a-z]*.py")}
    assert set(ADAPTATIONS) == {file.stem for file in adapted.glob("[a-z]*.py")}
    assert named == ListOf(Choice("rewrite", tuple(RULES)), unique=True)


def test_reading_recipes_imports_nothing_heavy() -> None:
    assert not {"numpy", "onnx", "doit", "asyncio", "PIL"} & imported("pipelines.backends.recipes")


def test_the_front_imports_nothing_heavy() -> None:
    """Of what jobs compute with: each takes a tenth of a second and more."""
    assert not {"numpy", "onnx", "PIL"} & imported("pipelines.front.task_file")


def imported(module: str) -> set[str]:
    """All modules that come with it."""
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ran.stdout.split())


# The real SDK

REFUSED_BY_BOTH: dict[str, list[Any]] = {
    "quantized_hybrid_level": ["1"],
    "optimization_level": ["3"],
    "float_dtype": ["float32"],
    "custom_string": [5, "a" * 1024],
    "inputs_yuv_fmt": ["nv12", [], ["yuyv"], ["NV12"]],
    "dynamic_input": [[[1, 3, 4, 4]], [], [[[1, 3, 0]]], [[[1]], [[1], [1]]]],
    "op_target": [["a"], {"a": 1}],
    "quantize_weight": [True],
    "sparse_infer": [True],
    "auto_hybrid_cos_thresh": [1.5, -1, "0.9", None],
    "auto_hybrid_euc_thresh": [-1, "0.9"],
    "memory_plan_strategy": ["bestfit", "FirstFit", None],
    "compute_order": ["HeightFirst", None],
    "output_optimize": [1, "yes please"],
    "set_op_attr": [[1], "x"],
    "sram_prefer": [0],
    "nbuf_prefer": [[]],
    "check_data": [True, "x"],
    "stream_op": [["a"], {"a": "b"}],
    "disable_rules": ["convert_global_avgpool_to_conv"],
    "enable_const_share": [1],
    "enable_rnn_loop": [1],
    "enable_core0_only_mode": [1],
    "disable_first_conv": [1],
}
ACCEPTED_BY_BOTH: dict[str, list[Any]] = {
    "quantized_hybrid_level": [0, 1, 2, 3],
    "optimization_level": [0, 1, 2, 3],
    "float_dtype": ["float16", "bfloat16"],
    "custom_string": ["x", "a" * 1023, None],
    "inputs_yuv_fmt": [["nv12"], [None], None],
    "dynamic_input": [[[[1, 3, 4, 4]], [[1, 3, 8, 8]]], None],
    "op_target": [{"a": "cpu", "b": "npu", "c": "gpu", "d": "auto"}, {}, None],
    "auto_hybrid_cos_thresh": [0, 0.5, 1],
    "auto_hybrid_euc_thresh": [0, 12.5, None],
    "memory_plan_strategy": ["BestFit", "GreedyBySize", "GreedyByLifetime", "SlowPeakGrowth"],
    "compute_order": ["WidthFirst", "DepthFirst"],
    "stream_op": [{"conv": "exConvStreaming"}, {}],
    "disable_rules": [["convert_global_avgpool_to_conv"], []],
    "set_op_attr": [{"a": {"b": 1}}],
    "check_data": [[]],
    **{name: [True, False] for name, option in vendor.CONFIG.items()
       if option.kind.words() == "true or false" and not option.platforms},
}  # fmt: skip
QUANTIZED = tuple(d for d in vendor.ALL_DTYPES if d not in ("float16", "prequantized"))


def ask_sdk(version: str, configs: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """What tests/sdk_options.py finds in an SDK: of the Python that NPUMAKE_RKNN_2_5_0_PYTHON (and
    the like) names where set, else of the toolchain."""
    script = f"from tests import sdk_options\nsdk_options.main({configs!r})\n"
    named = os.environ.get(f"NPUMAKE_RKNN_{version.replace('.', '_')}_PYTHON")
    if not named:
        return dict(json.loads(warm_toolchains.run(f"rknn-{version}", script, folder)))
    stand_in = ROOT / "pipelines" / "backends" / "rknn" / "torch_stand_in"
    ran = subprocess.run(
        [named, "-c", script],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "PYTHONPATH": f"{stand_in}:{ROOT}"},
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return dict(json.loads(ran.stdout))


def judged(tiny: Path, version: str, options: dict[str, Any]) -> bool:
    """Whether a recipe may say this of rk3588."""
    keys = {"quantized_dtype": "dtype", "quantized_algorithm": "algorithm",
            "quantized_method": "method"}  # fmt: skip
    quantize: dict[str, Any] = {"calibration": {"npy": "x.npy"}, "rknn": {}}
    for name, value in options.items():
        if name != "target_platform":
            (quantize if name in keys else quantize["rknn"])[keys.get(name, name)] = value
    tools = {"2.5.0": "rknn-2.5.0-torch"}.get(version, f"rknn-{version}")
    target = {"platform": options["target_platform"], "toolchain": tools}
    data = {"model": "tiny", "source": {"onnx": "m.onnx"}, "quantize": quantize}
    try:
        parse(tiny, json.dumps({**data, "targets": {"t": target}}))
    except Problems:
        return False
    return True


def questions(version: str) -> list[dict[str, Any]]:
    """Options of RKNN.config to put to the SDK and to the parser."""
    asked = [
        {"target_platform": "rk3588", name: value}
        for values in (ACCEPTED_BY_BOTH, REFUSED_BY_BOTH)
        for name in values
        if version in vendor.CONFIG[name].versions
        for value in values[name]
    ]
    asked += [
        {"target_platform": platform, "quantized_dtype": dtype}
        for platform in vendor.ALL_PLATFORMS
        for dtype in QUANTIZED
    ]
    has_torch = any("torch" in t.extras for t in vendor.TOOLCHAINS.values() if t.version == version)
    algorithms = [name for name in vendor.ALGORITHMS if name != "gdq" or has_torch]
    for platform, dtype in (("rk3588", "w8a8"), ("rk3562", "w8a16"), ("rk3576", "w4a16")):
        base = {"target_platform": platform, "quantized_dtype": dtype}
        asked += [{**base, "quantized_algorithm": name} for name in (*algorithms, "kl")]
        asked += [{**base, "quantized_method": name} for name in (*vendor.METHODS, "group48")]
    asked += [
        {"target_platform": platform, name: True}
        for platform in vendor.PLATFORMS
        for name in ("sparse_infer", "quantize_weight")
    ]
    return asked


@pytest.mark.toolchain
@pytest.mark.parametrize("version", vendor.VERSIONS)
def test_the_tables_are_the_sdk_s(version: str, tiny: Path, tmp_path: Path) -> None:
    has = {name for name, option in vendor.CONFIG.items() if version in option.versions}
    configs = questions(version)
    answer = ask_sdk(version, configs, tmp_path)

    shown = {name: vendor.CONFIG[name].default for name in has & set(answer["config"])}
    assert shown == {k: v for k, v in answer["config"].items() if k not in vendor.OWNED}
    assert has | set(vendor.OWNED) == set(answer["accepts"])
    loaders = {vendor.LOADER_NAMES[kind]: sorted(names) for kind, names in vendor.LOADERS.items()}
    assert loaders == answer["loaders"]
    step1 = {"dataset", "rknn_batch_size", *rknn.HYBRID.keys}
    assert step1 == set(answer["hybrid"])
    assert [n for n, v in vendor.rules().items() if version in v] == answer["rules"]
    disagreements = [
        (options, error[-200:])
        for options, error in zip(configs, answer["verdicts"], strict=True)
        if judged(tiny, version, options) != (error == "")
    ]
    assert disagreements == []


@pytest.mark.parametrize("name", ["rv1126", "rk3399pro", "rk1808"])
def test_a_target_named_after_a_platform_of_toolkit_1(name: str, tiny: Path) -> None:
    text = f"{HEAD}quantize: {{dtype: float16}}\ntargets:\n  {name}: {{}}\n"
    assert f"`{name}` is a platform of RKNN-Toolkit 1" in refusal(tiny, text)
