"""The doctor: remedies as recipe text, the choice of the best, and a real examination."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipelines.doctor import clinic, trial
from pipelines.doctor.remedy import Remedy
from pipelines.doctor.trial import Result
from pipelines.recipe.model import Recipe
from pipelines.recipe.parse import load
from tests.small_models import conv_net, recipe, samples
from tests.workspace import Workspace

BOTH = Remedy(("merge_groups",), {"single_core_mode": True})
TEXT = """\
model: m
source: {onnx: net.onnx}   # kept
inputs: {input: {shape: [1, 3, 16, 16]}}
quantize: {calibration: {npy: samples.npy}}
targets:
  rk3588: {}  # the board
"""


@pytest.fixture
def given(tmp_path: Path) -> Recipe:
    folder = tmp_path / "models" / "m"
    folder.mkdir(parents=True)
    (folder / "net.onnx").write_bytes(b"")
    (folder / "samples.npy").write_bytes(b"")
    (folder / "recipe.yaml").write_text(TEXT)
    return load(folder / "recipe.yaml", tmp_path)


def test_a_remedy_is_written_where_it_belongs_and_comments_stay(given: Recipe) -> None:
    text = BOTH.applied_to(TEXT, given, given.targets["rk3588"])
    assert "# kept" in text
    assert "# the board" in text
    data = yaml.safe_load(text)
    assert data["simplify"] == {"rewrite": ["fold_batch_norm", "merge_groups"]}
    assert data["targets"]["rk3588"] == {"quantize": {"rknn": {"single_core_mode": True}}}
    assert yaml.safe_load("\n".join(BOTH.lines(given, given.targets["rk3588"]))) == {
        key: data[key] for key in ("simplify", "targets")
    }


def test_a_trial_has_facts_and_a_place_of_its_own(given: Recipe) -> None:
    target = given.targets["rk3588"]
    varied, varied_target = trial.vary(given, target, BOTH)
    assert varied.build == f"build/trials/{BOTH.key(target)}"
    assert varied_target.quantize.rknn == {"single_core_mode": True}
    assert varied.simplify.rewrite == ("fold_batch_norm", "merge_groups")
    assert varied.raw["targets"]["rk3588"]["quantize"] == {"rknn": {"single_core_mode": True}}
    same, _ = trial.vary(given, target, Remedy())
    assert same.raw == given.raw


def test_keys_differ_by_target_and_remedy(given: Recipe) -> None:
    target = given.targets["rk3588"]
    other = replace(target, name="rk3566")
    keys = {Remedy().key(target), BOTH.key(target), BOTH.key(other)}
    assert len(keys) == 3


AS_IT_IS = Result(Remedy(), 1000, 10.0, 5, 0.99, 0.999)


@pytest.mark.parametrize(
    ("changes", "is_chosen"),
    [
        ({"artifact_bytes": 100}, True),
        ({"artifact_bytes": 1000}, False),
        ({"artifact_bytes": 100, "worst_cosine": 0.9896}, True),
        ({"artifact_bytes": 100, "worst_cosine": 0.9894}, False),
        ({"artifact_bytes": 100, "worst_output_cosine": 0.9984}, False),
        ({"artifact_bytes": 100, "worst_cosine": None}, False),
        ({"artifact_bytes": 0, "failure": "died of SIGSEGV"}, False),
    ],
)
def test_best(changes: dict[str, object], is_chosen: bool) -> None:
    result = replace(AS_IT_IS, remedy=BOTH, **changes)  # type: ignore[arg-type]
    assert clinic.best([AS_IT_IS, result]) == (result if is_chosen else None)


@pytest.mark.toolchain
def test_examines_tries_applies_and_costs_nothing_again(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.add("m", recipe(), net__onnx=conv_net(), samples__npy=samples())
    first = workspace.doit("doctor", "m")
    assert first.code == 0, first.err
    assert "single_core_mode" in first.out
    trials = list(workspace.built("m", "trials").iterdir())
    assert len(trials) >= 3
    logs = {file: file.stat().st_mtime_ns for file in (tmp_path / ".npumake/logs").rglob("*.log")}
    again = workspace.doit("doctor", "m", "--apply")
    assert again.out.replace("0/0/5", "5/0/0").split("remedy")[1] == first.out.split("remedy")[1]
    after = {file: file.stat().st_mtime_ns for file in (tmp_path / ".npumake/logs").rglob("*.log")}
    assert {f: t for f, t in after.items() if "server" not in f.name} == {
        f: t for f, t in logs.items() if "server" not in f.name
    }
    applied = yaml.safe_load((tmp_path / "models/m/recipe.yaml").read_text())
    assert applied["targets"]["rk3588"]["quantize"]["rknn"]["single_core_mode"] is True
    before = workspace.built("m", "rk3588/model.rknn").stat().st_size
    assert workspace.doit().code == 0
    metrics = json.loads(workspace.built("m", "rk3588/report/metrics.json").read_text())
    assert metrics["bytes"]["rknn"] < before
    assert "trials" not in (tmp_path / "models/m/dvc.yaml").read_text()


def test_a_misspelt_model_or_target_names_the_nearest(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.add("m", recipe(), net__onnx=conv_net(), samples__npy=samples())
    for arguments, told in ((["mm"], "`m`"), (["m", "--target", "rk3558"], "`rk3588`")):
        ran = workspace.doit("doctor", *arguments)
        assert ran.code == 3
        assert told in ran.err
