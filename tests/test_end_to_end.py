"""Recipes become .rknn files and layer reports, with the vendor's real SDK."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.small_models import conv_net, recipe, samples
from tests.workspace import Workspace

pytestmark = pytest.mark.toolchain

STEPS = ["m:export", "m:simplify", "m:quantize@rk3588", "m:build@rk3588", "m:analyze@rk3588"]
TWO_TARGETS: dict[str, Any] = {"rk3588": {}, "rk3566": {}}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """One small model, built for two targets."""
    workspace = Workspace(tmp_path_factory.mktemp("built"))
    given = recipe(targets=TWO_TARGETS)
    workspace.add("m", given, net__onnx=conv_net(), samples__npy=samples())
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    return workspace


@pytest.fixture
def copy(built: Workspace, tmp_path: Path) -> Workspace:
    """The built workspace again, free to be changed."""
    workspace = Workspace(tmp_path)
    for part in ("models", ".dvc"):
        subprocess.run(["cp", "-a", f"{built.root}/{part}/.", f"{tmp_path}/{part}"], check=True)
    return workspace


def report(workspace: Workspace, path: str, model: str = "m") -> Any:
    return json.loads(workspace.built(model, path).read_text())


def test_makes_every_artifact(built: Workspace) -> None:
    for target in TWO_TARGETS:
        assert built.built("m", f"{target}/model.rknn").read_bytes()[:4] == b"RKNN"
        layers = report(built, f"{target}/report/layers.json")["layers"]
        table = report(built, f"{target}/build.json")["layers"]
        assert table and {row["id"] for row in table} <= {row["id"] for row in layers}
        metrics = report(built, f"{target}/report/metrics.json")
        assert 0.9 < metrics["worst_cosine"] <= 1
    assert report(built, "export/export.json")["opset"] == 15


def test_a_float_target_needs_no_data(tmp_path: Path) -> None:
    """The shortest recipe there is; analyzed on noise, which the report says."""
    workspace = Workspace(tmp_path)
    given = {"source": {"onnx": "net.onnx"}, "quantize": {"dtype": "float16"}}
    workspace.add("m", {**given, "targets": {"rk3588": {}}}, net__onnx=conv_net())
    ran = workspace.doit()
    assert (ran.code, len(ran.steps)) == (0, 4), ran.err
    metrics = report(workspace, "rk3588/report/metrics.json")
    assert metrics["samples"] == 2 and metrics["worst_cosine"] > 0.999
    findings = report(workspace, "rk3588/report/layers.json")["findings"]
    assert any("random inputs" in sentence for sentence in findings)


def test_second_run_runs_nothing_and_prints_a_row_a_target(built: Workspace) -> None:
    for file in built.root.rglob("*"):
        if file.is_file() and ".npumake" not in file.parts:
            file.touch()
    ran = built.doit()
    assert (ran.code, ran.steps) == (0, {})
    rows = [line.split() for line in ran.out.splitlines() if line.startswith("m@")]
    assert [row[:2] for row in rows] == [["m@rk3588", "0/0/5"], ["m@rk3566", "0/0/5"]]
    assert max(map(len, ran.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("old", "new", "steps"),
    [
        ("model: m", "# a comment\nmodel: m", []),
        ("analyze:\n  samples: 2\n", "", ["m:analyze@rk3588", "m:analyze@rk3566"]),
        ("samples: 2", "samples: 3", ["m:analyze@rk3588", "m:analyze@rk3566"]),
        (
            "  rk3566: {}",
            "  rk3566: {}\n  rk3562: {}",
            ["m:quantize@rk3562", "m:build@rk3562", "m:analyze@rk3562"],
        ),
        (
            "  rk3566: {}",
            "  rk3566: {build: {layers: {scores: float16}}}",
            ["m:build@rk3566", "m:analyze@rk3566"],
        ),
        (
            "rk3588: {}",
            "rk3588: {quantize: {algorithm: kl_divergence}}",
            ["m:quantize@rk3588", "m:build@rk3588", "m:analyze@rk3588"],
        ),
        ("targets:", "gates: {min_cosine: 0.1}\ntargets:", []),
    ],
)
def test_only_stale_steps_run(copy: Workspace, old: str, new: str, steps: list[str]) -> None:
    copy.edit("m", old, new)
    ran = copy.doit()
    assert ran.code == 0, ran.err
    assert ran.steps == dict.fromkeys(steps, "ran")
    assert copy.doit().steps == {}


def test_moved_keys_run_nothing(copy: Workspace) -> None:
    place = copy.root / "models/m/recipe.yaml"
    import yaml

    data = yaml.safe_load(place.read_text())
    moved = {key: data[key] for key in reversed(list(data))}
    place.write_text(yaml.safe_dump(moved, sort_keys=False))
    assert copy.doit().steps == {}


def test_why_names_the_parameter(copy: Workspace) -> None:
    copy.edit("m", "samples: 4", "samples: 4\n  algorithm: mmse")
    told = copy.doit("why", "m:quantize@rk3588").out
    assert told == "m:quantize@rk3588  stale\n  param quantize.algorithm (none) -> mmse\n"
    assert copy.doit("why", "m:export").out == "m:export  up to date\n"


def test_a_lost_artifact_is_restored(copy: Workspace) -> None:
    copy.built("m", "rk3588/model.rknn").unlink()
    ran = copy.doit()
    assert ran.steps == {"m:build@rk3588": "restored"}


def test_always_runs_what_is_up_to_date(copy: Workspace) -> None:
    ran = copy.doit("m:simplify", "--always-execute")
    assert ran.steps == {"m:export": "ran", "m:simplify": "ran"}
    assert ran.err.count("asked for by -a") == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["info", "m:build@rk3588"], "m:build@rk3588"),
        (["list"], "m@rk3588"),
        (["list", "--all", "--status"], "m:build@rk3588"),
        (["plan", "m:build@rk3588"], "m:quantize@rk3588"),
        (["toolchains"], "rknn-2.5.0"),
    ],
)
def test_commands_of_doit_and_ours(built: Workspace, arguments: list[str], told: str) -> None:
    ran = built.doit(*arguments)
    assert told in ran.out, ran.err


def test_clean_removes_and_doit_restores(copy: Workspace) -> None:
    assert copy.doit("clean", "m").code == 0
    assert not copy.built("m", "rk3588/model.rknn").exists()
    assert set(copy.doit().steps.values()) == {"restored"}


def test_forgotten_steps_run_again(copy: Workspace) -> None:
    assert copy.doit("forget", "m:simplify").code == 0
    assert copy.doit().steps == {"m:simplify": "ran"}


def test_gates_run_nothing_and_fail_with_the_place(copy: Workspace) -> None:
    copy.edit("m", "targets:", "gates: {max_size_ratio: 0.001}\ntargets:")
    ran = copy.doit()
    assert (ran.code, ran.steps) == (1, {})
    assert "models/m/recipe.yaml:" in ran.err
    assert "above max_size_ratio 0.001" in ran.err


def test_infer_shows_float_and_simulator(copy: Workspace, tmp_path: Path) -> None:
    sample = tmp_path / "one sample.npy"
    np.save(sample, np.full((3, 16, 16), 90, np.float32))
    ran = copy.doit("infer", str(sample), "m@rk3588", "--output", str(tmp_path / "outputs"))
    assert ran.code == 0, ran.err
    told = ran.out.splitlines()
    assert told[0] == "sample 0, scores [1, 4]"
    assert [line.split()[0] for line in told[1:3]] == ["float", "simulator"]
    cosine = float(told[-1].split()[2])
    assert 0.9 < cosine <= 1
    assert any((tmp_path / "outputs").glob("*.npz"))


def test_infer_without_the_board_says_how_to_connect_one(
    copy: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the adb that the SDK brings; its server ends with the run, since none was there before."""
    sample = tmp_path / "sample.npy"
    np.save(sample, np.full((3, 16, 16), 90, np.float32))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
    ran = copy.doit("infer", "m@rk3588", str(sample), "--device", "0a1b2c3d")
    assert ran.code == 1
    assert "adb knows no board `0a1b2c3d`; it knows: none" in ran.err
    assert "`adb connect ADDRESS`" in ran.err
    assert "Traceback" not in ran.err
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["wy"], "did you mean `why`?"),
        (["n"], "no command, model, target or step `n`"),
        (["m@rk3558"], "did you mean `m@rk3588`?"),
        (["m:quantise@rk3588"], "did you mean `m:quantize@rk3588`?"),
        (["why", "m@rk3558"], "did you mean `m@rk3588`?"),
        (["step", "m:biuld@rk3588"], "did you mean `m:build@rk3588`?"),
        (["infer", "m@rk3558", "x.npy"], "did you mean `m@rk3588`?"),
        (["infer", "m@rk3588", "none.npy"], "no file none.npy"),
        (["m", "--contnue"], "did you mean `--continue`?"),
        (["toolchains", "rknn-2.5.1"], "did you mean `rknn-2.5.0`?"),
    ],
)
def test_misspelt_words_name_the_nearest(built: Workspace, arguments: list[str], told: str) -> None:
    ran = built.doit(*arguments)
    assert ran.code == 3
    assert told in ran.err
    assert "Traceback" not in ran.err


def test_options_stand_before_or_after_names(built: Workspace) -> None:
    for arguments in (["-n", "2", "m"], ["m", "-n", "2"], ["m@rk3588", "--continue"]):
        ran = built.doit(*arguments)
        assert (ran.code, ran.steps) == (0, {}), ran.err


MEETS = """
import time
from pathlib import Path
import torch

def build(own, other):
    Path(own).touch()
    end = time.monotonic() + 60
    while not Path(other).exists():
        assert time.monotonic() < end, "the other model is not being built"
        time.sleep(0.01)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
"""


def test_n_2_builds_two_models_at_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    marks = [str(tmp_path / "a.mark"), str(tmp_path / "b.mark")]
    for name, (own, other) in zip("ab", (marks, marks[::-1]), strict=True):
        source = {"torch": "net.py:build", "arguments": {"own": own, "other": other}}
        workspace.add(name, recipe(source=source), net__py=MEETS, samples__npy=samples())
    ran = workspace.doit("-n", "2", "a:export", "b:export")
    assert ran.code == 0, ran.err
    assert ran.steps == {"a:export": "ran", "b:export": "ran"}


def test_continue_goes_on_after_a_failure(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.add("bad", recipe(), net__onnx=conv_net(nan=True), samples__npy=samples())
    workspace.add("good", recipe(), net__onnx=conv_net(), samples__npy=samples())
    ran = workspace.doit("--continue", "-n", "1")
    assert ran.code != 0
    assert ran.steps["bad:export"] == "FAILED"
    assert ran.steps["good:analyze@rk3588"] == "ran"


def test_ctrl_c_keeps_nothing_half_made(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    never = {"own": str(tmp_path / "own.mark"), "other": str(tmp_path / "never")}
    given = recipe(source={"torch": "net.py:build", "arguments": never})
    workspace.add("m", given, net__py=MEETS, samples__npy=samples())
    process = subprocess.Popen(
        [sys.executable, "-s", "dodo.py"],
        cwd=workspace.root,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while not (tmp_path / "own.mark").exists():
        assert time.monotonic() < end, "the export never began"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "m:export" in err
    assert "Traceback" not in err
    assert not workspace.built("m", "export/model.onnx").exists()


def test_a_second_run_waits_for_the_first(built: Workspace) -> None:
    import fcntl

    with (built.root / ".npumake/run.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4242")
        lock.flush()
        process = subprocess.Popen(
            [sys.executable, "-s", "dodo.py"],
            cwd=built.root,
            stderr=subprocess.PIPE,
            text=True,
            stdout=subprocess.DEVNULL,
        )
        assert process.stderr is not None
        assert "process 4242" in process.stderr.readline()
    assert process.wait(30) == 0


def test_the_repositorys_models(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for name in ("sample_reshape", "mobilenet_v1", "ssd_detector"):
        subprocess.run(["cp", "-r", f"{ROOT}/models/{name}", f"{tmp_path}/models/"], check=True)
        for made in ("build", "dvc.lock"):
            subprocess.run(["rm", "-rf", f"{tmp_path}/models/{name}/{made}"], check=True)
    ran = workspace.doit()
    assert ran.code == 0, ran.err
    changes = report(workspace, "simplify/changes.json", "sample_reshape")
    (chain,) = changes["shape_chains"]["removed"]
    assert chain["operators"] == {"Shape": 1, "Slice": 1, "Concat": 1}
    assert chain["consumer"] == "/flatten_height_and_width/Reshape"
    accuracy = report(workspace, "rk3588/report/metrics.json", "mobilenet_v1")["accuracy"]
    assert accuracy["float"] >= 0.97
    assert accuracy["simulator"] >= accuracy["float"] - 0.01
    assert "mobilenet_v1@rk3588: accuracy" in ran.out
