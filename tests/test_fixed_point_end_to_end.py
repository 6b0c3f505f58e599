"""Recipes and single files become networks of whole numbers, through `./doit`."""

from __future__ import annotations

import csv
import json
import xml.dom.minidom
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.small_models import npy
from tests.vacuous import some
from tests.workspace import Ran, Workspace

pytestmark = pytest.mark.toolchain

TARGETS = ("int8-s8-b8", "int8-s8-b16", "int8-s16-b8", "int8-s16-b16")
STEPS = [
    *("export", "simplify", "quantize@int8"),
    *(f"{stage}@{target}" for target in TARGETS for stage in ("build", "analyze")),
]
COUNT = 12
BACKEND = "    backend: fixed_point\n"


def two_task_net() -> bytes:
    """An image and two indices; two outputs of three classes, `a` and `b`."""
    random = np.random.default_rng(0)
    weights = {
        "w": random.normal(0, 0.3, (8, 1, 3, 3)),
        "table": random.normal(0, 1, (20, 4)),
        "wa": random.normal(0, 0.4, (16, 3)),
        "wb": random.normal(0, 0.4, (16, 3)),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["c"], "conv", pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], ["f"], "flatten"),
        helper.make_node("Gather", ["table", "ids"], ["e"], "embedding"),
        helper.make_node("Flatten", ["e"], ["ef"], "flatten_ids"),
        helper.make_node("Concat", ["f", "ef"], ["all"], "join", axis=1),
        helper.make_node("Gemm", ["all", "wa"], ["a"], "task_a"),
        helper.make_node("Gemm", ["all", "wb"], ["b"], "task_b"),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "net",
        [
            info("image", TensorProto.FLOAT, (1, 1, 8, 8)),
            info("ids", TensorProto.INT64, (1, 2)),
        ],
        [info(name, TensorProto.FLOAT, (1, 3)) for name in "ab"],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    opset = helper.make_opsetid("", 15)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())


def data() -> dict[str, np.ndarray[Any, Any]]:
    """Samples in pixel units, and the float network's own classes as labels: it is always right."""
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (COUNT, 1, 8, 8)).astype(np.float32)
    ids = random.integers(0, 20, (COUNT, 2))
    run = onnxruntime.InferenceSession(two_task_net()).run
    scores = [run(["a", "b"], feed(image, pair)) for image, pair in zip(images, ids, strict=True)]
    labels = {name: np.array([one[i].argmax() for one in scores]) for i, name in enumerate("ab")}
    return {"images": images, "ids": ids, **labels}


def feed(image: np.ndarray[Any, Any], ids: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"image": (image[None] - 128) / 64, "ids": ids[None]}


def recipe() -> dict[str, Any]:
    inputs = {"image": "images.npy", "ids": "ids.npy"}
    return {
        "source": {"onnx": "net.onnx"},
        "inputs": {
            "image": {"shape": [1, 1, 8, 8], "mean": [128], "std": [64]},
            "ids": {"shape": [1, 2], "dtype": "int64"},
        },
        "quantize": {"calibration": {"npy": inputs}},
        "analyze": {"samples": 3},
        "evaluate": {"inputs": inputs, "labels": {"a": "a.npy", "b": "b.npy"}},
        "gates": {"min_accuracy": 0.5, "max_size_ratio": 3.5, "max_cpu_layers": 0},
        "targets": {
            "int8": {"backend": "fixed_point", "input_scale": [8, 16], "bias_mode": ["b8", "B16"]}
        },
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Ran]:
    """A network of two inputs and two outputs, swept."""
    workspace = Workspace(tmp_path_factory.mktemp("fixed"))
    files = {f"{name}__npy": npy(array) for name, array in data().items()}
    workspace.add("m", recipe(), net__onnx=two_task_net(), **files)
    return workspace, workspace.doit()


def report(workspace: Workspace, path: str) -> Any:
    return json.loads(workspace.built("m", path).read_text())


def test_a_sweep_calibrates_once(built: tuple[Workspace, Ran]) -> None:
    _, ran = built
    assert ran.code == 0, ran.err
    assert sorted(ran.steps) == sorted(f"m:{step}" for step in STEPS)
    rows = [line.split() for line in ran.out.splitlines() if line.startswith("m@")]
    assert [row[:3] for row in rows] == [["m@int8", "(4)", f"{len(STEPS)}/0/0"]]
    assert "\n(N): a sweep of N targets, its largest artifact" in ran.out
    assert "./doit table\n" in ran.out


def test_reports(built: tuple[Workspace, Ran]) -> None:
    workspace, _ = built
    for target in TARGETS:
        metrics = report(workspace, f"{target}/report/metrics.json")
        assert metrics["worst_cosine"] > 0.95 and metrics["samples"] == 3
        assert set(metrics["outputs"]) == {"a", "b"}
        accuracy = metrics["accuracy"]
        assert accuracy["samples"] == COUNT and accuracy["float"] == 1
        # The labels are the float network's classes, so that both say the same.
        assert accuracy["agreement"] == accuracy["integer"] >= 0.75
        tasks = [accuracy["outputs"][name]["integer"] for name in "ab"]
        assert accuracy["integer"] == pytest.approx(sum(tasks) / 2)
        layers = report(workspace, f"{target}/report/layers.json")
        assert {"c", "r"} & {row["tensor"] for row in layers["layers"]}
        held = report(workspace, f"{target}/report/bytes.json")
        assert held["file_bytes"] == sum(node["bytes"] for node in held["nodes"])
        assert held["file_bytes"] == sum(held["kinds"].values())
        files = held["files"]
        for name, told in files.items():
            size = workspace.built("m", f"{target}/{name}").stat().st_size
            assert told["file_bytes"] == size == sum(told["kinds"].values())
        made = report(workspace, f"{target}/build.json")
        assert made["compared_values"] > 100
        assert made["bytes"] == {name: told["file_bytes"] for name, told in files.items()}


def test_a_second_run_runs_nothing_and_another_value_only_its_own(
    built: tuple[Workspace, Ran], tmp_path: Path
) -> None:
    workspace, _ = built
    assert workspace.doit().steps == {}
    workspace.edit("m", "    - 16\n", "    - 16\n    - 4\n")
    ran = workspace.doit("m@int8")
    expected = [f"m:{stage}@int8-s4-{mode}" for mode in ("b8", "b16") for stage in
                ("build", "analyze")]  # fmt: skip
    assert ran.steps == dict.fromkeys(expected, "ran")
    workspace.edit("m", "    - 16\n    - 4\n", "    - 16\n")
    assert workspace.doit().steps == {}


def test_weights_to_nearest_are_another_calibration(built: tuple[Workspace, Ran]) -> None:
    workspace, _ = built
    made = workspace.built("m", "int8-s8-b8/m_quant.onnx").read_bytes()
    folder = workspace.built("m", "int8/quantize")
    files = {"model.onnx", "ranges.json"}
    assert {path.name for path in folder.iterdir()} == files | {"taps.npz", "samples.npz"}
    workspace.edit("m", BACKEND, BACKEND + "    weight_rounding: nearest\n")
    ran = workspace.doit("m@int8")
    assert {step for step in ran.steps if "quantize" in step} == {"m:quantize@int8"}
    assert {path.name for path in folder.iterdir()} == files
    assert workspace.built("m", "int8-s8-b8/m_quant.onnx").read_bytes() != made
    workspace.edit("m", "    weight_rounding: nearest\n", "")
    assert set(workspace.doit("m@int8").steps.values()) == {"restored"}
    assert workspace.built("m", "int8-s8-b8/m_quant.onnx").read_bytes() == made


def test_why_and_plan_and_bad_names(built: tuple[Workspace, Ran]) -> None:
    workspace, _ = built
    workspace.edit("m", BACKEND, f"{BACKEND}    weights: channel\n")
    told = workspace.doit("why", "m:build@int8-s8-b8", "m:quantize@int8").out
    assert told == (
        "m:quantize@int8  up to date\n"
        "m:build@int8-s8-b8  stale\n  param targets.int8.weights (none) -> channel\n"
    )
    workspace.edit("m", "    weights: channel\n", "")
    refused = workspace.doit("tune", "m")
    assert refused.code == 3
    assert "every target of m is of the backend fixed_point" in refused.err
    assert "did you mean `m@int8-s8-b8`?" in workspace.doit("m@int8-s8-b9").err


def test_the_doctor_tells_where_the_bytes_are(built: tuple[Workspace, Ran]) -> None:
    workspace, _ = built
    ran = workspace.doit("doctor", "m@int8-s8-b16")
    assert ran.code == 0, ran.err
    size = workspace.built("m", "int8-s8-b16/m_quant.onnx").stat().st_size
    told = ran.out.splitlines()
    assert (
        sum(line.startswith("m@int8-s8-b16: ") and "of ONNX became" in line for line in told) == 1
    )
    (artifact,) = (line.split()[2:5] for line in told if line.startswith("  = artifact "))
    assert artifact == [f"{size / 1e3:.1f}", "KB", "100.0%"]
    rows = {line.split()[1] for line in told if line.strip().startswith("+ ")}
    assert rows == {"constants", "operators", "interface", "structure"}
    assert "by node of the ONNX file:" in told


def test_gates_are_judged_where_they_stand(built: tuple[Workspace, Ran]) -> None:
    workspace, _ = built
    workspace.edit("m", BACKEND, "    gates: {max_size_ratio: 0.1}\n" + BACKEND)
    ran = workspace.doit("m@int8-s16-b16")
    line = 1 + (workspace.root / "models/m/recipe.yaml").read_text().split("\n").index(
        "    gates: {max_size_ratio: 0.1}"
    )
    assert ran.code == 1 and ran.steps == {}
    assert f"models/m/recipe.yaml:{line}:13: m@int8-s16-b16: artifact / ONNX bytes: " in ran.err
    workspace.edit("m", "    gates: {max_size_ratio: 0.1}\n", "")


def test_infer(built: tuple[Workspace, Ran], tmp_path: Path) -> None:
    workspace, _ = built
    files = []
    for name in ("images", "ids"):
        files.append(str(tmp_path / f"{name}.npy"))
        np.save(files[-1], data()[name][:1])
    ran = workspace.doit("infer", "m@int8-s16-b16", *files, "--output", str(tmp_path / "out"))
    assert ran.code == 0, ran.err
    assert "sample 0, a [1, 3]" in ran.out and "  integer " in ran.out
    comparison = json.loads((tmp_path / "out/comparison.json").read_text())
    assert comparison["samples"][0]["a"]["cosine"]["worst"] > 0.95


def test_table(built: tuple[Workspace, Ran], tmp_path: Path) -> None:
    workspace, _ = built
    ran = workspace.doit("table", "--output", str(tmp_path))
    assert ran.code == 0, ran.err
    titles = [line for line in ran.out.splitlines() if ": float " in line]
    assert titles == [f"m, {output}: float 100.00% of 12 samples" for output in ("a", "b", "mean")]
    assert all(len(line) <= 80 for line in some(ran.out.splitlines()))
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert len(rows) == 3 * len(TARGETS)
    assert {(row["bias_mode"], row["input_scale"]) for row in rows} == {
        *(("B8", "8"), ("B8", "16"), ("B16", "8"), ("B16", "16"))
    }
    xml.dom.minidom.parse(str(tmp_path / "table.svg"))
    assert "did you mean `m`?" in workspace.doit("table", "M").err


# One file without a recipe


def test_quantize_a_file(built: tuple[Workspace, Ran], tmp_path: Path) -> None:
    workspace, _ = built
    (tmp_path / "net.v2.onnx").write_bytes(two_task_net())
    calibration = tmp_path / "data"
    calibration.mkdir()
    np.save(calibration / "image.npy", (data()["images"] - 128) / 64)
    np.save(calibration / "ids.npy", data()["ids"])
    ran = workspace.doit(
        *("quantize", "--input", str(tmp_path / "net.v2.onnx"), "--output", str(tmp_path / "out")),
        *("--input-scale", "image=10", "--bias_mode", "b8", "--calibration", str(calibration)),
    )
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        *("net.v2_quant.onnx", "net.v2_quant.tflite", "a", "b")
    ]
    for line in some(lines[2:]):
        assert float(line.split()[2].rstrip(",")) > 0.95
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == ["net.v2_quant.onnx", "net.v2_quant.tflite"]
    graph = onnx.load(tmp_path / "out/net.v2_quant.onnx").graph
    assert [value.name for value in graph.input] == ["image", "ids"]


FAULTS = {
    "no number": (["--input_scale", "2.5"], 3, "`2.5` is no input_scale"),
    "zero": (["--input_scale", "0"], 3, "`0` is no input_scale"),
    "no such input": (["--input_scale", "imag=4"], 1, "did you mean `image`?"),
    "too many": (["--input_scale", "4", "--input_scale", "5"], 1, "2 input_scales for 1 real"),
    "an index input": (["--input_scale", "ids=4"], 1, "input_scale names the input `ids`"),
    "bias mode": (["--input_scale", "4", "--bias_mode", "b9"], 3, "no bias_mode `B9`"),
    "option": (["--input_scale", "4", "--bias", "B8", "--rouding", "truncate"], 3, "`--rounding`"),
    "no data": (["--input_scale", "4", "--shifts", "calibrated"], 3, "calibrated shifts need data"),
    "missing data": (["--input_scale", "4", "--calibration", "no"], 3, "no file or folder no"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_command_writes_nothing(
    name: str, built: tuple[Workspace, Ran], tmp_path: Path
) -> None:
    workspace, _ = built
    options, code, said = FAULTS[name]
    (tmp_path / "net.onnx").write_bytes(two_task_net())
    ran = workspace.doit(
        *("quantize", "--input", str(tmp_path / "net.onnx")),
        *("--output", str(tmp_path / "out"), *options),
    )
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err and "Traceback" not in ran.err
    assert not (tmp_path / "out").exists()


def test_a_bad_file_writes_nothing(built: tuple[Workspace, Ran], tmp_path: Path) -> None:
    workspace, _ = built
    files = {"page.onnx": b"<html>", "cut.onnx": two_task_net()[:500], "x.tflite": b"nothing"}
    for name, content in {**files, "net.pt": b""}.items():
        (tmp_path / name).write_bytes(content)
        ran = workspace.doit(
            *("quantize", "--input", str(tmp_path / name), "--input_scale", "4"),
            *("--output", str(tmp_path / "out")),
        )
        assert ran.code != 0 and name in ran.err and "Traceback" not in ran.err, ran.err
    assert not (tmp_path / "out").exists()
