"""doit and DVC agree: whoever built it, the other has nothing to do; and nothing is built twice.

Real git, real DVC, a local remote, and the real SDK on networks of a few kilobytes.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from dvc.utils.serialize import load_yaml  # type: ignore[import-untyped]

from pipelines.recipe.yaml.tree import compose
from tests import warm
from tests.checkout import Checkout
from tests.dvc_runner import Failure, environment_of
from tests.small_models import conv_net, npy, recipe, samples

pytestmark = pytest.mark.toolchain

TARGETS: dict[str, object] = {"rk3588": {}, "rk3566": {}}
BOTH = ("m@rk3588", "m@rk3566", "n@rk3588")
LABELS = {"inputs": "samples.npy", "labels": "labels.npy", "metric": "top1"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Two models, built and committed, with a remote that has nothing yet."""
    place = tmp_path_factory.mktemp("built")
    checkout = Checkout(place / "w")
    given = recipe(targets=TARGETS, evaluate=LABELS)
    labels = npy(np.array([0, 1, 2, 3]))
    data = {"samples__npy": samples(), "labels__npy": labels}
    checkout.add("m", given, net__onnx=conv_net(), **data)
    checkout.add("n", recipe(), net__onnx=conv_net(seed=1), samples__npy=samples())
    checkout.dvc("remote", "add", "-q", "-d", "store", str(place / "remote"))
    checkout.dvc("config", "core.analytics", "false")
    checkout.commit("recipes")
    ran = checkout.doit()
    assert ran.code == 0, ran.err
    checkout.commit("built")
    return checkout


@pytest.fixture
def copy(built: Checkout, tmp_path: Path) -> Checkout:
    """With a remote of its own: what one test pushes, no other finds."""
    made = built.copy(tmp_path / "w")
    remote = f"['remote \"store\"']\n    url = {tmp_path / 'remote'}\n"
    (made.root / ".dvc/config.local").write_text(remote)
    return made


def has_nothing_to_do(checkout: Checkout, *names: str) -> bool:
    ran = checkout.doit(*names)
    assert (ran.code, ran.steps) == (0, {}), ran.err
    return True


def assert_dvc_has_nothing_to_do(checkout: Checkout) -> None:
    assert "Data and pipelines are up to date" in checkout.dvc("status")
    told = checkout.dvc("repro")
    assert "Running stage" not in told
    assert "is cached" not in told


def load_lock(text: str) -> Any:
    """dvc.lock without the content of model.rknn, which differs from build to build."""
    lock = yaml.safe_load(text)
    for stage in lock["stages"].values():
        for row in [*stage["deps"], *stage["outs"]]:
            if row["path"].endswith("/model.rknn"):
                del row["md5"]
    return lock


def test_after_doit_dvc_has_nothing_to_do(copy: Checkout) -> None:
    assert_dvc_has_nothing_to_do(copy)
    assert copy.git("status", "--short") == ""  # not even a .gitignore of DVC's


def test_a_run_changes_dvc_yaml_and_dvc_lock_alone(copy: Checkout) -> None:
    copy.git("reset", "-q", "--hard", "HEAD~1")
    shutil.rmtree(copy.root / "models/m/build")
    shutil.rmtree(copy.root / "models/n/build")
    assert set(copy.doit().steps.values()) == {"restored"}
    made = copy.git("status", "--short", "-uall").split()
    folders = ("models/m/", "models/n/")
    assert sorted(made[1::2]) == sorted(
        ["dvc.yaml", *(f"{f}{name}" for f in folders for name in ("dvc.lock", "dvc.yaml"))]
    )


def test_after_dvc_repro_doit_has_nothing_to_do(copy: Checkout) -> None:
    shutil.rmtree(copy.root / ".dvc/cache")
    shutil.rmtree(copy.root / "models/n/build")
    (copy.root / "models/n/dvc.lock").unlink()
    assert copy.dvc("repro", "models/n/dvc.yaml").count("Running stage") == 5
    assert has_nothing_to_do(copy, "n")
    # What DVC wrote is what ./doit wrote, but for the SDK's pointers in model.rknn.
    assert copy.git("status", "--short").split() in ([], ["M", "models/n/dvc.lock"])
    old = load_lock(copy.git("show", "HEAD:models/n/dvc.lock"))
    assert old == load_lock((copy.root / "models/n/dvc.lock").read_text())

    copy.edit("n", "samples: 2", "samples: 3")
    told = copy.dvc("repro", "models/n/dvc.yaml")
    assert [line for line in told.splitlines() if line.startswith("Running stage")] == [
        "Running stage 'models/n/dvc.yaml:analyze-rk3588':"
    ]
    assert has_nothing_to_do(copy, "n")


def test_a_step_that_fails_fails_dvc_repro(copy: Checkout) -> None:
    (copy.root / "models/n/net.onnx").write_bytes(conv_net(nan=True))
    with pytest.raises(Failure, match=r"n:export: .*NaN"):
        copy.dvc("repro", "models/n/dvc.yaml")


def test_a_fresh_clone_after_dvc_pull_has_nothing_to_do(copy: Checkout, tmp_path: Path) -> None:
    copy.dvc("push")
    clone = copy.clone(tmp_path / "clone")
    clone.dvc("pull")
    assert has_nothing_to_do(clone)
    assert_dvc_has_nothing_to_do(clone)
    assert clone.git("status", "--short") == ""


@pytest.mark.parametrize("lose", ["rk3588/model.rknn", "rk3588/quantize", "rk3588/report", "."])
def test_a_lost_output_is_restored(copy: Checkout, lose: str) -> None:
    place = copy.built("m", lose)
    before = {file: file.read_bytes() for file in place.rglob("*") if file.is_file()}
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    ran = copy.doit()
    assert set(ran.steps.values()) == {"restored"}, ran.err
    assert {file: file.read_bytes() for file in before} == before
    assert_dvc_has_nothing_to_do(copy)


def test_going_back_to_an_old_recipe_restores(copy: Checkout) -> None:
    old = copy.built("m", "rk3588/model.rknn").read_bytes()
    copy.edit("m", "samples: 4", "samples: 4\n  algorithm: mmse")
    assert set(copy.doit().steps.values()) == {"ran"}
    copy.edit("m", "\n  algorithm: mmse", "")
    ran = copy.doit()
    assert set(ran.steps.values()) == {"restored"}, ran.err
    assert copy.built("m", "rk3588/model.rknn").read_bytes() == old
    assert copy.git("status", "--short") == ""
    assert_dvc_has_nothing_to_do(copy)


def test_going_to_another_branch_restores(copy: Checkout) -> None:
    copy.git("checkout", "-q", "-b", "other")
    copy.edit("n", "samples: 4", "samples: 4\n  algorithm: mmse")
    assert set(copy.doit().steps.values()) == {"ran"}
    copy.commit("mmse")
    for branch in ("main", "other", "main"):
        copy.git("checkout", "-q", branch)
        ran = copy.doit()
        assert set(ran.steps.values()) == {"restored"}, ran.err
        assert copy.git("status", "--short") == ""
    assert_dvc_has_nothing_to_do(copy)


def test_the_run_cache_is_shared_through_the_remote(copy: Checkout, tmp_path: Path) -> None:
    """What one built and pushed, another restores who made the same edit: dvc.lock not shared.

    `dvc pull --run-cache` fetches what is known of builds, and --pull the builds themselves.
    """
    other = copy.clone(tmp_path / "other")
    copy.dvc("push")
    copy.edit("n", "samples: 4", "samples: 4\n  algorithm: mmse")
    assert "ran" in copy.doit("n").steps.values()
    copy.dvc("push", "--run-cache")
    other.edit("n", "samples: 4", "samples: 4\n  algorithm: mmse")
    other.dvc("pull", "--run-cache")
    ran = other.doit("n", "--pull")
    assert (ran.code, set(ran.steps.values())) == (0, {"restored"}), ran.err
    assert other.dvc("status", "models/n/dvc.yaml").strip() == "Data and pipelines are up to date."


REPORT = "models/{}/build/{}/report/"


def shown(checkout: Checkout, *arguments: str) -> dict[str, Any]:
    """What `dvc metrics ... --json` says: of `show`, file -> metrics of the workspace."""
    told = json.loads(checkout.dvc("metrics", *arguments, "--json"))
    return dict(told[""]["data"] if arguments[0] == "show" else told)


def test_metrics_show_has_every_model_and_target(built: Checkout) -> None:
    found = shown(built, "show")
    assert sorted(found) == sorted(
        REPORT.format(*name.split("@")) + "metrics.json" for name in BOTH
    )
    for file in found.values():
        metrics = file["data"]
        assert metrics["bytes"]["rknn"] > 0
        assert metrics["size_ratio"] == metrics["bytes"]["rknn"] / metrics["bytes"]["onnx"]
        assert 0.9 < metrics["worst_cosine"] <= 1
    accuracy = found[REPORT.format("m", "rk3588") + "metrics.json"]["data"]["accuracy"]
    assert accuracy.keys() == {"samples", "float", "simulator"}


def test_metrics_diff_shows_what_a_recipe_change_did(copy: Checkout) -> None:
    copy.edit("n", "targets:", "build: {layers: {scores: float16}}\ntargets:")
    assert "ran" in copy.doit().steps.values()
    copy.commit("the last layer in float16")
    file = REPORT.format("n", "rk3588") + "metrics.json"
    changed = shown(copy, "diff", "HEAD~1")
    assert list(changed) == [file]
    assert changed[file]["float_layers"]["old"] == 0
    assert changed[file]["float_layers"]["new"] > 0
    assert changed[file]["bytes.rknn"]["diff"] != 0


def test_plots_show_draws_the_cosine_of_each_layer(copy: Checkout) -> None:
    copy.dvc("plots", "show")
    page = (copy.root / "dvc_plots/index.html").read_text()
    specs = [json.loads(text) for text in re.findall(r"var spec = (\{.*\});", page)]
    drawn = {}
    for spec in specs:
        title = spec["title"]["text"] if isinstance(spec["title"], dict) else spec["title"]
        drawn[title] = spec["data"]["values"]
    assert drawn.keys() == {
        *(f"{name}: cosine of each layer" for name in BOTH),
        "m: cosine of each layer, all targets",
        "n: cosine of each layer, all targets",
    }
    with copy.built("m", "rk3588/report/layers.csv").open() as file:
        rows = [(row["id"], row["entire_cosine_worst"]) for row in csv.DictReader(file)]
    own = drawn["m@rk3588: cosine of each layer"]
    assert [(row["id"], row["entire_cosine_worst"]) for row in own] == rows
    assert len(drawn["m: cosine of each layer, all targets"]) == 2 * 2 * len(rows)
    assert copy.git("status", "--short") == ""  # dvc_plots/ is ignored


def test_every_target_is_a_registered_artifact(copy: Checkout, tmp_path: Path) -> None:
    artifacts = load_yaml(str(copy.root / "dvc.yaml"))["artifacts"]
    assert sorted(artifacts) == sorted(name.replace("@", "/") for name in BOTH)
    gto(copy, "register", "m/rk3566", "--version", "v1.0.0")
    gto(copy, "assign", "m/rk3566", "--version", "v1.0.0", "--stage", "prod")
    for chosen in (("--rev", "v1.0.0"), ("--stage", "prod")):
        place = tmp_path / chosen[1]
        copy.dvc("artifacts", "get", ".", "m/rk3566", *chosen, "-o", str(place))
        assert place.read_bytes() == copy.built("m", "rk3566/model.rknn").read_bytes()


def gto(checkout: Checkout, *arguments: str) -> None:
    """GTO, which comes with DVC, tags commits; it takes the tagger from git's configuration."""
    checkout.git("config", "user.name", "t")
    checkout.git("config", "user.email", "t@t")
    words = ["-m", "gto.cli", *arguments]
    said = warm.capture(words, checkout.root, environment_of(checkout.root), timeout_s=60)
    assert said.code == 0, said


def test_dvc_yaml_older_than_its_recipe(copy: Checkout) -> None:
    """Refused by each step with the command that mends it; ./doit itself makes it anew."""
    copy.edit("n", "rk3588: {}", "rk3588: {}\n  rk3562: {}")
    for step in ("n:export", "n:build@rk3588"):
        told = copy.doit("step", step)
        assert told.code == 3
        assert "models/n/dvc.yaml is not the one that its recipe makes" in told.err
        assert "./doit plan" in told.err
    with pytest.raises(Failure, match=r"run: \./doit plan"):
        copy.dvc("repro", "-f", "models/n/dvc.yaml:simplify")
    assert copy.doit("plan").code == 0
    assert "build-rk3562" in (copy.root / "models/n/dvc.yaml").read_text()
    copy.git("checkout", "dvc.yaml", "models/n/dvc.yaml")
    steps = copy.doit().steps
    ran = {name for name, what in steps.items() if what == "ran"}
    assert ran == {f"n:{stage}@rk3562" for stage in ("quantize", "build", "analyze")}
    assert_dvc_has_nothing_to_do(copy)


def test_a_target_that_is_gone_leaves_no_trace(copy: Checkout) -> None:
    copy.edit("m", "  rk3566: {}\n", "")
    assert has_nothing_to_do(copy)
    assert "rk3566" not in (copy.root / "dvc.yaml").read_text()
    assert "rk3566" not in (copy.root / "models/m/dvc.yaml").read_text()
    assert_dvc_has_nothing_to_do(copy)


def test_both_front_ends_name_a_changed_toolchain(copy: Checkout) -> None:
    pins = copy.root / "toolchains/rknn-2.5.0.txt"
    pins.write_text(pins.read_text() + "# another\n")
    told = json.loads(copy.dvc("status", "--json"))
    for stage in ("quantize", "build", "analyze"):
        (changed,) = told[f"models/n/dvc.yaml:{stage}-rk3588"]
        assert changed == {"changed deps": {"toolchains/rknn-2.5.0.txt": "modified"}}
    assert "models/n/dvc.yaml:export" not in told
    why = copy.doit("why", "n").out
    assert why.count("  toolchain rknn-2.5.0 changed\n") == 3
    assert "n:simplify  up to date" in why


@pytest.mark.parametrize(
    ("old", "new", "told", "stages"),
    [
        (
            "source.opset: 15",
            "source.opset: 16",
            "default export.source.opset 15 -> 16",
            {"export"},
        ),
        (
            "torch_stand_in: ",
            "torch_stand_in: a",
            "default toolchains.rknn-2_5_0.pipelines/backends/rknn/torch_stand_in ",
            {"quantize-rk3588", "build-rk3588", "analyze-rk3588"},
        ),
    ],
)
def test_both_front_ends_name_a_changed_default(
    copy: Checkout, old: str, new: str, told: str, stages: set[str]
) -> None:
    """Of a recipe, and of what a toolchain puts on its path."""
    defaults = copy.root / "pipelines/stages/defaults.yaml"
    text = defaults.read_text()
    defaults.write_text(text.replace(old, new))
    seen = json.loads(copy.dvc("status", "--json"))
    named = {name for name, what in seen.items() if "defaults.yaml" in str(what)}
    assert {name for name in named if "models/n/" in name} == {
        f"models/n/dvc.yaml:{stage}" for stage in stages
    }
    why = copy.doit("why", "n").out
    assert why.count(f"  {told}") == len(stages)
    defaults.write_text(text)
    assert "stale" not in copy.doit("why", "n").out


def test_a_damaged_lock_is_told(copy: Checkout) -> None:
    lock = copy.root / "models/n/dvc.lock"
    whole = lock.read_text()
    for damaged in ("", whole[: len(whole) // 2], f"<<<<<<< HEAD\n{whole}"):
        lock.write_text(damaged)
        ran = copy.doit()
        assert ran.code == 0, ran.err
        assert "models/n/dvc.lock is damaged (" in ran.err
        assert "restored from the cache or run, and it is written anew" in ran.err
        assert set(ran.steps.values()) == {"restored"}
        assert lock.read_text() == whole


SCALARS = (
    "1 1.5 1e-7 1e3 1.e3 1_000 0x1F 0o10 010 0b11 1:30 .5 +1 -1 -0 .inf -.inf yes no on off y n "
    "true True TRUE null Null ~ '' \"1\" 'yes' 0. 1e+3 12e03 0x 1,000 1e400 1E5 "
    "123456789012345678901234567890 !!str&5"
).replace("&", "\u00a0")


@pytest.mark.parametrize("text", [word.replace("\u00a0", " ") for word in SCALARS.split(" ")])
def test_a_recipe_is_read_as_dvc_reads_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(f"x: {text}\n")
    ours, theirs = compose(file, "recipe.yaml").raw["x"], load_yaml(str(file))["x"]
    assert (type(ours), repr(ours)) == (type(theirs), repr(theirs))
