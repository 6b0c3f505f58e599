"""Networks that grow in an .rknn, and what the rewrites make of them, with the real SDK."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quant.cut_run import CutRun
from quant.graph_file import read
from quant.graph_run import FloatRun
from quant.graph_types import input_types
from quant.random_inputs import DRAWS, random_inputs
from tests.conftest import ROOT
from tests.diseases import Network, depthwise_multiplier, grouped
from tests.small_models import samples
from tests.test_realworld import ULTRAFACE
from tests.workspace import Workspace

pytestmark = pytest.mark.toolchain


def pooled() -> bytes:
    """A convolution, and means over 15x15 pixels."""
    net = Network()
    x = net.op("Relu", net.conv("input", 3, 64, 3))
    x = net.op("AveragePool", x, kernel_shape=[15, 15], strides=[15, 15])
    net.classify(net.op("Relu", net.conv(x, 64, 64, 1)), 64, 10)
    return net.end(32, {"scores": (1, 10)})


ONE_CORE = {"single_core_mode": True}
# Model -> its ONNX file, rewrite and targets; bytes of each target as it is and, at most, cured.
SICK: dict[str, tuple[Callable[[], bytes], str, dict[str, tuple[int, int]]]] = {
    "grouped": (
        grouped,
        "merge_groups",
        {"rk3588": (59_700_000, 4_500_000), "rk3576": (118_600_000, 6_500_000)},
    ),
    "multiplier": (
        depthwise_multiplier,
        "split_depthwise_multiplier",
        {"rk3588": (18_900_000, 950_000)},
    ),
}


def built(workspace: Workspace, model: str, path: str) -> Any:
    return json.loads(workspace.built(model, path).read_text())


def length(workspace: Workspace, model: str, target: str) -> int:
    return workspace.built(model, f"{target}/model.rknn").stat().st_size


def float_layers(workspace: Workspace, model: str, target: str) -> list[str]:
    layers = built(workspace, model, f"{target}/build.json")["layers"]
    return [row["full_name"] for row in layers if "FLOAT" in (row["dtype"] or "")]


def recipe(targets: Any, **changes: Any) -> dict[str, Any]:
    return {
        "source": {"onnx": "net.onnx"},
        "inputs": {"input": {"shape": [1, 3, 32, 32], "mean": [127] * 3, "std": [128] * 3}},
        "quantize": {"calibration": {"npy": "samples.npy", "samples": 4}},
        "analyze": {"samples": 1},
        "targets": {target: {} for target in targets},
        **changes,
    }


@pytest.mark.parametrize("name", SICK)
def test_the_cure_keeps_its_promise(name: str, tmp_path: Path) -> None:
    make, rewrite, expected = SICK[name]
    workspace = Workspace(tmp_path)
    files = {"net__onnx": make(), "samples__npy": samples(4, (3, 32, 32))}
    plain = recipe(expected)
    quantize = {**plain["quantize"], "rknn": ONE_CORE}
    cured = recipe(expected, simplify={"rewrite": [rewrite]}, quantize=quantize)
    workspace.add("plain", plain, **files)
    workspace.add("cured", cured, **files)
    ran = workspace.doit(*[f"plain:build@{target}" for target in expected], "cured")
    assert ran.code == 0, ran.err
    for target, (grown, at_most) in expected.items():
        assert length(workspace, "plain", target) == pytest.approx(grown, rel=0.015)
        assert length(workspace, "cured", target) <= at_most
        assert float_layers(workspace, "cured", target) == []
        metrics = built(workspace, "cured", f"{target}/report/metrics.json")
        assert metrics["outputs"]["scores"]["cosine"]["worst"] > 0.98
    changes = built(workspace, "cured", "simplify/changes.json")
    assert {made["rule"] for made in changes["rewrites"]["fired"]} == {rewrite}
    assert changes["difference_by_rewrite"][rewrite]["calibration"] < 2.0**-16
    if name == "grouped":
        assert len(float_layers(workspace, "plain", "rk3576")) > 10


def test_a_pooling_that_the_npu_cannot_do_is_one_that_it_can(tmp_path: Path) -> None:
    """Plainly built, it is larger than a megabyte, and the SDK says REGTASK: no board runs it."""
    workspace = Workspace(tmp_path)
    files = {"net__onnx": pooled(), "samples__npy": samples(4, (3, 32, 32))}
    workspace.add("plain", recipe(["rk3588"]), **files)
    simplify = {"rewrite": ["split_average_pool"]}
    workspace.add("cured", recipe(["rk3588"], simplify=simplify), **files)
    ran = workspace.doit("--continue")
    assert ran.steps["plain:build@rk3588"] == "FAILED"
    assert "REGTASK: The bit width of field value exceeds the limit" in ran.err
    assert length(workspace, "cured", "rk3588") <= 60_000
    outputs = built(workspace, "cured", "rk3588/report/metrics.json")["outputs"]
    assert outputs["scores"]["cosine"]["worst"] > 0.98


@pytest.fixture(scope="module")
def ultraface(realworld: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The face detector as it is, with its heads joined on another axis, and without its tail."""
    workspace = Workspace(tmp_path_factory.mktemp("ultraface"))
    folder = realworld / "ultraface"
    files = {"rfb320__onnx": folder / "rfb320.onnx", "faces": folder / "faces"}
    given = {**ULTRAFACE, "targets": {"rk3588": {}}}
    joined, cut = "concat_on_spatial_axis", "cut_postprocessing"
    for name, rewrite in (("plain", []), ("joined", [joined]), ("cut", [cut])):
        workspace.add(name, {**given, "simplify": {"rewrite": rewrite}}, **files)
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    return workspace


def test_joined_on_a_spatial_axis_it_is_small_and_the_same(ultraface: Workspace) -> None:
    assert length(ultraface, "plain", "rk3588") == pytest.approx(40_191_602, rel=0.01)
    assert length(ultraface, "joined", "rk3588") <= 1_150_000
    changes = built(ultraface, "joined", "simplify/changes.json")
    assert changes["difference_by_rewrite"] == {
        "concat_on_spatial_axis": {"bound": 0.0, "random": 0.0, "calibration": 0.0}
    }
    models = [ultraface.built(name, "simplify/model.onnx") for name in ("plain", "joined")]
    assert same(FloatRun(models[0]), FloatRun(models[1]), models[0])


def test_joined_on_a_spatial_axis_no_cosine_is_lower(ultraface: Workspace) -> None:
    """Where both have a tensor; the toolkit's own Reshapes, such as `459-rs`, are others."""

    def cosines(name: str, column: str) -> dict[str, float]:
        rows = built(ultraface, name, "rk3588/report/layers.json")["layers"]
        compared = {row["tensor"]: row[column] for row in rows if row[column]}
        outputs = built(ultraface, name, "rk3588/report/metrics.json")["outputs"]
        compared |= {f"output {one}": outputs[one] for one in outputs}
        return {tensor: error["cosine"]["worst"] for tensor, error in compared.items()}

    for column in ("entire", "single"):
        before, after = cosines("plain", column), cosines("joined", column)
        assert all(re.search("[-_]rs", tensor) for tensor in before.keys() - after.keys())
        common = before.keys() & after.keys()
        assert {"output scores", "output boxes"} <= common
        assert max(before[tensor] - after[tensor] for tensor in common) <= 0.0005


def test_cut_off_the_rest_is_a_file_of_its_own(ultraface: Workspace) -> None:
    assert length(ultraface, "cut", "rk3588") <= 800_000
    whole = ultraface.built("plain", "simplify/model.onnx")
    parts = (read(ultraface.built("cut", f"simplify/{file}.onnx")) for file in ("model", "tail"))
    assert same(FloatRun(whole), CutRun(*parts), whole)
    heads = built(ultraface, "cut", "rk3588/report/metrics.json")["outputs"]
    assert len(heads) == 8
    assert min(head["cosine"]["worst"] for head in heads.values()) > 0.98


def same(one: Any, other: Any, model: Path) -> bool:
    """Whether two networks give the same bits on every draw of random inputs."""
    types = input_types(read(model))
    drawn = [random_inputs(types, draw) for draw in range(DRAWS)]
    pairs = [(one(given), other(given)) for given in drawn]
    return all(a[name].tobytes() == b[name].tobytes() for a, b in pairs for name in a)


def test_the_detector_of_this_repository_is_ten_times_larger_without_its_cure(
    tmp_path: Path,
) -> None:
    workspace = Workspace(tmp_path)
    cure = "    - slice_before_concat\n    - concat_on_spatial_axis\n"
    for name in ("cured", "plain"):
        folder = workspace.root / "models" / name
        ignored = shutil.ignore_patterns("build", "dvc.*")
        shutil.copytree(ROOT / "models" / "ssd_detector", folder, ignore=ignored)
        workspace.edit(name, "model: ssd_detector", f"model: {name}")
    workspace.edit("plain", cure, "")
    ran = workspace.doit()
    assert "plain@rk3588: artifact / ONNX bytes" in ran.err
    assert "cured@rk3588" not in ran.err
    metrics = {
        name: built(workspace, name, "rk3588/report/metrics.json") for name in ("plain", "cured")
    }
    assert metrics["plain"]["size_ratio"] > 10
    assert length(workspace, "plain", "rk3588") > 10 * length(workspace, "cured", "rk3588")
    for output, found in metrics["plain"]["outputs"].items():
        cured = metrics["cured"]["outputs"][output]["cosine"]["worst"]
        assert cured > found["cosine"]["worst"] - 0.0005
    changes = built(workspace, "cured", "simplify/changes.json")
    assert {found["random"] for found in changes["difference_by_rewrite"].values()} == {0.0}
