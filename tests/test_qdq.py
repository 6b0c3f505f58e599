"""The backend qdq through `./doit`: a chain, and a network of two inputs and two outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from pipelines.backends.recipes import load
from pipelines.files.where import Problems
from quant.report.metrics import cosine
from tests import small_models
from tests.small_models import npy
from tests.test_fixed_point_end_to_end import COUNT, data, feed, recipe, report, two_task_net
from tests.workspace import Ran, Workspace

STEPS = [*("export", "simplify"), *(f"{stage}@qdq" for stage in ("quantize", "build", "analyze"))]
CHANNELS = {"backend": "qdq", "per_channel": True, "activation_type": "QUInt8"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Ran]:
    """`m` has two inputs, two outputs and labels, `c` is a chain of Conv and Relu."""
    workspace = Workspace(tmp_path_factory.mktemp("qdq"))
    files = {f"{name}__npy": npy(array) for name, array in data().items()}
    told = {**recipe(), "targets": {"qdq": {"backend": "qdq"}}}
    workspace.add("m", told, net__onnx=two_task_net(), **files)
    workspace.add(
        "c",
        small_models.recipe(targets={"qdq": CHANNELS}),
        net__onnx=small_models.conv_net(),
        samples__npy=small_models.samples(),
    )
    return workspace, workspace.doit()


def run_as_written(file: Path, feeds: dict[str, Any]) -> dict[str, NDArray[Any]]:
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(file, settings)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


@pytest.mark.toolchain
def test_both_are_built_and_a_second_run_runs_nothing(built: tuple[Workspace, Ran]) -> None:
    workspace, ran = built
    assert ran.code == 0, ran.err
    assert sorted(ran.steps) == sorted(f"{model}:{step}" for model in "mc" for step in STEPS)
    rows = {line.split()[0]: line.split() for line in ran.out.splitlines() if "@qdq " in line}
    assert [row[1] for row in rows.values()] == ["5/0/0", "5/0/0"]
    assert "m@qdq: accuracy 100.00% in float, " in ran.out and "% in QDQ\n" in ran.out
    again = workspace.doit()
    assert (again.code, again.steps) == (0, {})


@pytest.mark.toolchain
def test_outputs_are_as_the_report_says(built: tuple[Workspace, Ran]) -> None:
    """Both files run here, on samples that are normalized here."""
    workspace, _ = built
    held = data()
    feeds = [feed(held["images"][i], held["ids"][i]) for i in range(3)]
    feeds = [{**one, "image": one["image"].astype(np.float32)} for one in feeds]
    files = {"float": "export/model.onnx", "qdq": "qdq/m_qdq.onnx"}
    found = {
        key: [run_as_written(workspace.built("m", file), one) for one in feeds]
        for key, file in files.items()
    }
    metrics = report(workspace, "qdq/report/metrics.json")
    layers = report(workspace, "qdq/report/layers.json")["layers"]
    assert metrics["samples"] == 3
    for output in "ab":
        pairs = [(a[output], b[output]) for a, b in zip(found["float"], found["qdq"], strict=True)]
        told = metrics["outputs"][output]
        assert told["max_abs_difference"] == max(float(np.abs(a - b).max()) for a, b in pairs)
        assert told["cosine"]["worst"] == pytest.approx(min(cosine(a, b) for a, b in pairs))
        assert 0.95 < told["cosine"]["worst"] < 1
        (row,) = (row for row in layers if row["tensor"] == output)
        assert row["entire"]["cosine"]["worst"] == pytest.approx(told["cosine"]["worst"])
    accuracy = metrics["accuracy"]
    assert accuracy["samples"] == COUNT and accuracy["float"] == 1
    right = [
        run_as_written(
            workspace.built("m", files["qdq"]),
            {
                **(one := feed(held["images"][i], held["ids"][i])),
                "image": one["image"].astype("f4"),
            },
        )
        for i in range(COUNT)
    ]
    for output in "ab":
        share = np.mean([one[output].argmax() == held[output][i] for i, one in enumerate(right)])
        assert accuracy["outputs"][output]["qdq"] == share


@pytest.mark.toolchain
def test_reports(built: tuple[Workspace, Ran]) -> None:
    workspace, _ = built
    for model, dtype in (("m", "int8"), ("c", "uint8")):
        metrics, held, layers, made = (
            json.loads(workspace.built(model, f"qdq/{name}.json").read_text())
            for name in ("report/metrics", "report/bytes", "report/layers", "build")
        )
        size = workspace.built(model, f"qdq/{model}_qdq.onnx").stat().st_size
        assert made["bytes"] == {f"{model}_qdq.onnx": size}
        assert metrics["bytes"]["artifact"] == held["file_bytes"] == size
        assert sum(node["bytes"] for node in held["nodes"]) == sum(held["kinds"].values()) == size
        rows = layers["layers"]
        assert metrics["layers"] == len(rows) == len(made["layers"])
        assert metrics["float_layers"] == 0
        assert {row["dtype"] for row in rows} == {dtype}
        assert all(row["single"]["finite"] and row["entire"]["finite"] for row in rows)
        assert layers["toolkit"].startswith("onnxruntime ")
    by_op = {row["op"]: row for row in rows}
    assert by_op["Conv"]["tensor"] == "r2"  # the Relu is what the rounding clips
    assert by_op["Gemm"]["bytes"] == 16 * 4 + 4 * (4 + 1)  # codes, and a scale and zero a channel


@pytest.mark.toolchain
def test_a_key_reruns_what_reads_it(built: tuple[Workspace, Ran]) -> None:
    workspace, _ = built
    line = "    backend: qdq\n"
    stages = {
        "weight_type: QInt8": ("build", "analyze"),
        "reduce_range: true": ("build", "analyze"),
        "calibrate_method: Percentile": ("quantize", "build", "analyze"),
    }
    for key, expected in stages.items():
        workspace.edit("c", line, f"{line}    {key}\n")
        ran = workspace.doit("c")
        assert set(ran.steps) <= {f"c:{stage}@qdq" for stage in expected}, key
        assert f"c:{expected[0]}@qdq" in ran.steps, key
        workspace.edit("c", f"{line}    {key}\n", line)
    assert set(workspace.doit("c").steps.values()) <= {"restored"}
    workspace.edit("c", line, f"{line}    calibrate_method: Entropy\n")
    told = workspace.doit("why", "c:quantize@qdq").out
    assert "param targets.qdq.calibrate_method (none) -> Entropy" in told
    assert "c@qdq: `calibrate_method: Entropy` with onnxruntime's own" in workspace.doit("c").out
    workspace.edit("c", "    calibrate_method: Entropy\n", "")


@pytest.mark.toolchain
def test_names_that_the_network_lacks_and_gates(built: tuple[Workspace, Ran]) -> None:
    workspace, _ = built
    line = "    backend: qdq\n"
    workspace.edit("c", line, f"{line}    nodes_to_exclude: [conv3]\n")
    ran = workspace.doit("c")
    assert ran.code == 1 and ran.steps["c:build@qdq"] == "FAILED"
    assert "`conv3`, which no node of the simplified graph is" in ran.err
    assert "did you mean `conv" in ran.err and "Traceback" not in ran.err
    workspace.edit("c", "[conv3]\n", "[fc]\n    gates: {max_float_layers: 0}\n")
    ran = workspace.doit("c")
    assert ran.code == 1
    assert "c@qdq: float layers: 2, above max_float_layers 0" in ran.err
    workspace.edit(
        "c", f"{line}    nodes_to_exclude: [fc]\n    gates: {{max_float_layers: 0}}\n", line
    )


@pytest.mark.toolchain
def test_infer_and_report(built: tuple[Workspace, Ran], tmp_path: Path) -> None:
    workspace, _ = built
    files = []
    for name in ("images", "ids"):
        files.append(str(tmp_path / f"{name}.npy"))
        np.save(files[-1], data()[name][:1])
    ran = workspace.doit("infer", "m@qdq", *files, "--output", str(tmp_path / "out"))
    assert ran.code == 0, ran.err
    assert "sample 0, a [1, 3]" in ran.out and "  qdq " in ran.out
    held = data()
    one = feed(held["images"][0], held["ids"][0])
    expected = run_as_written(
        workspace.built("m", "qdq/m_qdq.onnx"), {**one, "image": one["image"].astype(np.float32)}
    )
    found = np.load(tmp_path / "out/qdq.npz")
    assert all(np.array_equal(found[name][0], expected[name]) for name in "ab")
    ran = workspace.doit("doctor", "m@qdq")
    assert ran.code == 0 and "by node of the ONNX file:" in ran.out
    ran = workspace.doit("report", "m", "--output", str(tmp_path / "pages"))
    assert ran.code == 0, ran.err
    assert "m_qdq.onnx" in (tmp_path / "pages/m/report.html").read_text()


DATA = "quantize: {calibration: {npy: x.npy}}\n"
HEAD = f"""\
model: tiny
source: {{onnx: m.onnx}}
inputs: {{x: {{shape: [1, 4]}}}}
{DATA}targets:
"""
REFUSED = {
    "values": (
        "  q: {backend: qdq, activation_type: uint8, weight_type: QInt16, per_channel: 1,"
        " calibrate_method: min_max, percentile: 101, num_bins: 64, nodes_to_exclude: fc}",
        """\
6:38: no type `uint8`
  write QUInt8, as onnxruntime does
6:58: no type `QInt16`
  did you mean `QInt8`?
6:79: `per_channel` can't be `1`
  write true or false
6:100: no calibration method `min_max`
  write MinMax
6:121: `percentile` can't be 101
  write a number from 0 to 100
6:136: `num_bins` can't be 64
  write a whole number, 128 or more
6:158: `nodes_to_exclude` can't be `fc`
  write a list, at least one: a node's name""",
    ),
    "types": (
        "  q: {backend: qdq, weight_type: QUInt8}",
        """\
6:34: onnxruntime does not support weights of QUInt8 with activations of QInt8
  write `activation_type: QUInt8`, or QInt8 for both""",
    ),
    "no effect": (
        "  q: {backend: qdq, percentile: 99.9, num_bins: 256}\n"
        "  e: {backend: qdq, calibrate_method: Entropy, percentile: 99.9, bias_mode: B8}",
        """\
6:21: `percentile` has no effect with `calibrate_method: MinMax`
  delete it, or write `calibrate_method: Percentile`
6:39: `num_bins` has no effect with `calibrate_method: MinMax`
  delete it, or write `calibrate_method: Percentile`
7:48: `percentile` has no effect with `calibrate_method: Entropy`
  delete it, or write `calibrate_method: Percentile`
7:66: `bias_mode` has no effect with `backend: qdq`
  delete it, or write `backend: fixed_point`""",
    ),
    "no data": (
        "  q: {backend: qdq}",
        """\
5:3: target `q` has no calibration data
  add `quantize: {calibration: {images: FOLDER, samples: 20}}` (or list:, or npy:)""",
    ),
    "another backend's": (
        "  rk3588: {per_channel: true}",
        """\
6:12: `per_channel` has no effect with `backend: rknn`, which a target has where it names none
  delete it, or write `backend: qdq`""",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_recipe_is_refused_where_it_is(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "models/tiny"
    folder.mkdir(parents=True)
    for file in ("m.onnx", "x.npy"):
        (folder / file).write_bytes(b"")
    targets, expected = REFUSED[name]
    head = HEAD.replace(DATA, "") if name == "no data" else HEAD
    (folder / "recipe.yaml").write_text(head + targets + "\n")
    with pytest.raises(Problems) as caught:
        load(folder / "recipe.yaml", tmp_path)
    told = str(caught.value).replace("models/tiny/recipe.yaml:", "")
    assert told == expected
