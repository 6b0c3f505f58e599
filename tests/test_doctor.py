"""The doctor: remedies as recipe text, the choice of the best, and a real examination."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipelines.backends.recipes import load
from pipelines.backends.rknn.recipe.options import options
from pipelines.building.builder import Builder, Outcome
from pipelines.doctor import search, trial
from pipelines.doctor.remedy import Remedy
from pipelines.doctor.trial import Result
from pipelines.recipe.define.model import Recipe
from pipelines.record.step import Step
from pipelines.run.toolchain.toolchain import Environments
from tests.fake_steps import make_step, write_job
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
    assert options(varied_target).quantize.rknn == {"single_core_mode": True}
    assert varied.simplify.rewrite == ("fold_batch_norm", "merge_groups")
    assert varied.raw["targets"]["rk3588"]["quantize"] == {"rknn": {"single_core_mode": True}}
    same, _ = trial.vary(given, target, Remedy())
    assert same.raw == given.raw


OUT = "models/m/build/trials/k/simplify/out.txt"


def simplify_steps(rewrites: str = "r", stage: str = "simplify") -> tuple[Step, Step]:
    """The model's own step, and the one of a trial that has these rewrites."""
    own = make_step(stage, {"a": "models/m/a.txt"}, sections={"value": "r"})
    varied = make_step(
        stage,
        {"a": "models/m/a.txt"},
        sections={"value": rewrites},
        outputs={"out.txt": OUT.replace("simplify", stage)},
    )
    return own, replace(varied, model="m-trial-k")


@pytest.fixture
def built(project: Path) -> Iterator[Builder]:
    """The model's own steps have run."""
    write_job(project, "join")
    (project / "models/m/a.txt").write_text("a")
    builder = Builder(project)
    for stage in ("simplify", "quantize"):
        assert builder.ensure(simplify_steps(stage=stage)[0]) is Outcome.RAN
    yield builder
    builder.close()


def test_a_trial_of_the_same_rewrites_simplifies_nothing(built: Builder) -> None:
    """By what the model made, or another trial; it is in no lock, and may be removed."""
    builder = trial.builder_of_trials(built)
    _, same = simplify_steps()
    assert builder.ensure(same) is Outcome.RESTORED
    assert (built.root / OUT).read_text() == "a+r"
    _, merged = simplify_steps("r,s")
    assert builder.ensure(merged) is Outcome.RAN
    assert (built.root / OUT).read_text() == "a+r,s"
    assert builder.ensure(replace(merged, model="m-trial-l")) is Outcome.RESTORED
    built.locks.flush()
    assert "trial" not in (built.root / "models/m/dvc.lock").read_text()


@pytest.mark.parametrize("what", ["rewrites", "input", "version", "toolchain", "stage", "model"])
def test_a_trial_with_any_other_fact_runs(built: Builder, what: str) -> None:
    """Only of simplify: what else a trial makes may tell of more than its facts."""
    _, step = simplify_steps("r,s" if what == "rewrites" else "r")
    match what:
        case "input":
            (built.root / "models/m/a.txt").write_text("b")
        case "version":
            step = replace(step, version=2)
        case "toolchain":
            (built.root / "toolchains/fake.txt").write_text("# other pins\n")
            Environments(built.root).make(["fake"])
        case "stage":
            _, step = simplify_steps(stage="quantize")
        case "model":
            step = replace(step, model="n-trial-k")
    assert trial.builder_of_trials(built).ensure(step) is Outcome.RAN


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_trial_simplifies_where_the_cache_lost_the_object(
    built: Builder, is_removed: bool
) -> None:
    """As `dvc gc` removes it, or a disk damages it: the run-cache tells of it all the same."""
    (entry,) = (e for e in [built.locks.entry(simplify_steps()[0])] if e is not None)
    (content,) = entry.outs.values()
    place = built.store.place(content.md5)
    place.chmod(0o644)
    if is_removed:
        place.unlink()
    else:
        place.write_text("other")
    later = Builder(built.root)
    try:
        assert trial.builder_of_trials(later).ensure(simplify_steps()[1]) is Outcome.RAN
    finally:
        later.close()
    assert (built.root / OUT).read_text() == "a+r"


def test_keys_differ_by_target_and_remedy(given: Recipe) -> None:
    target = given.targets["rk3588"]
    other = replace(target, name="rk3566")
    keys = {Remedy().key(target), BOTH.key(target), BOTH.key(other)}
    assert len(keys) == 3


COSINES = {"entire a": 0.99, "single a": 0.999, "output y": 0.98}
AS_IT_IS = Result(Remedy(), 1000, cosines=COSINES, network="n")
MERGED = Result(Remedy(("merge_groups",)), 900, cosines=COSINES, network="m")
WITH_OPTION = Result(BOTH, 100, cosines=COSINES, network="m")


@pytest.mark.parametrize(
    ("changes", "is_chosen"),
    [
        ({}, True),
        ({"artifact_bytes": 1000}, False),
        ({"cosines": COSINES | {"entire a": 0.9896}}, True),
        ({"cosines": COSINES | {"entire a": 0.9894}}, False),
        ({"cosines": COSINES | {"entire a": None}}, False),
        ({"cosines": {"entire b": 0.5, "output y": 0.98}}, True),  # b is a layer of its own
        ({"cosines": {"output z": 0.98}}, False),
        ({"network": "another"}, False),  # an option that changed the quantized network
        ({"artifact_bytes": 0, "failure": "died of SIGSEGV"}, False),
    ],
)
def test_best(changes: dict[str, object], is_chosen: bool) -> None:
    result = replace(WITH_OPTION, **changes)  # type: ignore[arg-type]
    assert search.best([AS_IT_IS, MERGED, result]) == (result if is_chosen else MERGED)


def test_a_cut_is_never_the_best() -> None:
    cut = replace(MERGED, remedy=Remedy(("cut_postprocessing",)))
    assert search.best([AS_IT_IS, cut], ["cut_postprocessing"]) is None


@pytest.mark.parametrize(("simple", "is_chosen"), [(109, True), (111, False)])
def test_a_further_remedy_has_to_save_a_tenth(simple: int, is_chosen: bool) -> None:
    simpler = replace(MERGED, artifact_bytes=simple)
    found = search.best([AS_IT_IS, simpler, WITH_OPTION])
    assert found == (simpler if is_chosen else WITH_OPTION)


@pytest.mark.parametrize(("size", "is_chosen"), [(950, True), (951, False)])
@pytest.mark.parametrize("option", search.TRADES)
def test_a_trade_of_cores_or_time_has_to_save_a_twentieth(
    option: str, size: int, is_chosen: bool
) -> None:
    traded = replace(AS_IT_IS, remedy=Remedy(options={option: True}), artifact_bytes=size)
    assert search.best([AS_IT_IS, traded]) == (traded if is_chosen else None)


PRUNED = Result(
    Remedy(options={"model_pruning": True}), 300, cosines=COSINES, network="p", outputs="same"
)


@pytest.mark.parametrize(
    ("changes", "is_exact"),
    [
        ({}, True),
        ({"outputs": "other"}, False),  # what was dropped was not dead
        ({"remedy": PRUNED.remedy + Remedy(options={"single_core_mode": True})}, True),
        ({"remedy": PRUNED.remedy + Remedy(options={"o": 1}), "network": "q"}, False),
    ],
)
def test_pruning_may_change_the_network_but_no_figure_of_the_outputs(
    changes: dict[str, object], is_exact: bool
) -> None:
    as_it_is = replace(AS_IT_IS, outputs="same")
    result = replace(PRUNED, **changes)  # type: ignore[arg-type]
    assert search.is_exact(result, [as_it_is, PRUNED, result]) is is_exact


@pytest.mark.parametrize(("length", "lowered"), [(64, ["entire a"]), (48, [])])
def test_a_tensor_with_other_channels_is_not_compared(length: int, lowered: list[str]) -> None:
    as_it_is = replace(AS_IT_IS, lengths={"a": 64})
    result = replace(MERGED, cosines=COSINES | {"entire a": 0.98}, lengths={"a": length})
    assert search.lowered(result, as_it_is) == lowered


@pytest.mark.toolchain
def test_examines_tries_applies_and_costs_nothing_again(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.add("m", recipe(), net__onnx=conv_net(), samples__npy=samples())
    first = workspace.doit("doctor", "m")
    assert first.code == 0, first.err
    assert "single_core_mode" in first.out
    trials = list(workspace.built("m", "trials").iterdir())
    assert len(trials) == 2  # one option, and both
    logs = {file: file.stat().st_mtime_ns for file in (tmp_path / ".npumake/logs").rglob("*.log")}
    for arguments in ([], ["--apply"]):
        again = workspace.doit("doctor", "m", *arguments)
        assert again.out.split("exact  remedy")[1] == first.out.split("exact  remedy")[1]
    after = {file: file.stat().st_mtime_ns for file in (tmp_path / ".npumake/logs").rglob("*.log")}
    assert {f: t for f, t in after.items() if "server" not in f.name} == {
        f: t for f, t in logs.items() if "server" not in f.name
    }
    applied = yaml.safe_load((tmp_path / "models/m/recipe.yaml").read_text())
    assert applied["targets"]["rk3588"]["quantize"]["rknn"]["single_core_mode"] is True
    before = workspace.built("m", "rk3588/model.rknn").stat().st_size
    rebuilt = workspace.doit()
    assert rebuilt.code == 0
    assert set(rebuilt.steps.values()) == {"restored"}
    metrics = json.loads(workspace.built("m", "rk3588/report/metrics.json").read_text())
    assert metrics["bytes"]["rknn"] < before
    assert "trials" not in (tmp_path / "models/m/dvc.yaml").read_text()


def test_a_misspelt_model_or_target_names_the_nearest(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.add("m", recipe(), net__onnx=conv_net(), samples__npy=samples())
    for arguments, told in (
        (["mm"], "`m`"),
        (["m", "--target", "rk3558"], "`rk3588`"),
        (["m", "--without", "single_core"], "`single_core_mode`"),
    ):
        ran = workspace.doit("doctor", *arguments)
        assert ran.code == 3
        assert told in ran.err
