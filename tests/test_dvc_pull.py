"""./doit --pull: what is missing is fetched from the remote before anything is built."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.checkout import Checkout
from tests.small_models import conv_net, recipe, samples

pytestmark = pytest.mark.toolchain


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Models m and n built, committed and pushed, with their run-cache."""
    place = tmp_path_factory.mktemp("pushed")
    checkout = Checkout(place / "w")
    for seed, name in enumerate("mn"):
        checkout.add(name, recipe(), net__onnx=conv_net(seed=seed), samples__npy=samples())
    checkout.dvc("remote", "add", "-q", "-d", "store", str(place / "remote"))
    ran = checkout.doit()
    assert ran.code == 0, ran.err
    checkout.dvc("push", "--run-cache")
    checkout.commit("built")
    return checkout


@pytest.fixture
def clone(pushed: Checkout, tmp_path: Path) -> Checkout:
    """What a colleague has after `git clone`: no outputs, no cache."""
    return pushed.clone(tmp_path / "clone")


def cached(checkout: Checkout) -> set[str]:
    objects = checkout.root / ".dvc/cache/files/md5"
    return {file.parent.name + file.name for file in objects.rglob("*") if file.is_file()}


@pytest.mark.parametrize("arguments", [["--pull"], ["--pull", "m", "n"], ["m", "n", "--pull"]])
def test_all_is_restored_and_nothing_runs(clone: Checkout, arguments: list[str]) -> None:
    ran = clone.doit(*arguments)
    assert ran.code == 0, ran.err
    assert len(ran.steps) == 10
    assert set(ran.steps.values()) == {"restored"}
    assert "files from store" in ran.err
    assert clone.doit().steps == {}
    assert clone.git("status", "--short") == ""
    assert "Data and pipelines are up to date" in clone.dvc("status")


@pytest.mark.parametrize("arguments", [["--pull", "-n", "2", "m@rk3588"], ["m", "--pull", "-n1"]])
def test_only_the_selected_models_outputs(clone: Checkout, arguments: list[str]) -> None:
    ran = clone.doit(*arguments)
    assert ran.code == 0, ran.err
    assert {name.split(":")[0] for name in ran.steps} == {"m"}
    assert set(ran.steps.values()) == {"restored"}
    assert not (clone.root / "models/n/build").exists()


def test_nothing_is_fetched_where_nothing_is_missing(clone: Checkout) -> None:
    assert clone.doit("--pull").code == 0
    before = cached(clone)
    (clone.root / ".dvc/config").write_text("")  # so that asking a remote would fail
    shutil.rmtree(clone.root / "models/m/build")
    ran = clone.doit("--pull")
    assert (ran.code, set(ran.steps.values())) == (0, {"restored"}), ran.err
    assert "pulled" not in ran.err
    assert cached(clone) == before


def test_no_remote(clone: Checkout) -> None:
    (clone.root / ".dvc/config").write_text("")
    ran = clone.doit("--pull", "m")
    assert ran.code == 3
    assert "DVC has no default remote to pull from" in ran.err
    assert "dvc remote add -d NAME URL" in ran.err
    assert "Traceback" not in ran.err
    assert not (clone.root / "models/m/build").exists()


def test_a_remote_that_is_not_there(clone: Checkout) -> None:
    (clone.root / ".dvc/config.local").write_text(
        "['remote \"store\"']\n    url = ssh://0.0.0.0/x\n"
    )
    ran = clone.doit("--pull", "m")
    assert ran.code == 3
    assert "npumake: " in ran.err
    assert "Traceback" not in ran.err


def test_what_the_remote_lacks_is_run(clone: Checkout, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (clone.root / ".dvc/config.local").write_text(f"['remote \"store\"']\n    url = {empty}\n")
    ran = clone.doit("--pull", "m")
    assert ran.code == 0, ran.err
    assert ran.steps["m:export"] == "ran"
    assert "m:export  is not in store: it may have to run" in ran.err


def test_without_pull_what_could_be_fetched_is_named(clone: Checkout) -> None:
    ran = clone.doit("m:export")
    assert ran.steps == {"m:export": "ran"}
    assert "m:export: built before, but not in this cache\n  ./doit --pull fetches" in ran.err


def test_inputs_that_dvc_keeps(pushed: Checkout, tmp_path: Path) -> None:
    """A file that a recipe names may be in DVC, with NAME.dvc in git."""
    owner = pushed.copy(tmp_path / "owner")
    owner.git("rm", "-q", "--cached", "models/m/samples.npy", "models/n/samples.npy")
    owner.dvc("add", "-q", "models/m/samples.npy", "models/n/samples.npy")
    owner.dvc("push", "-q")
    owner.commit("samples in DVC")
    clone = owner.clone(tmp_path / "clone")
    told = clone.doit("m")
    assert told.code == 3
    assert "no file `samples.npy`\n  DVC keeps it: `./doit --pull` fetches it" in told.err
    ran = clone.doit("--pull", "m")
    assert (ran.code, set(ran.steps.values())) == (0, {"restored"}), ran.err
    assert {name.split(":")[0] for name in ran.steps} == {"m"}
    assert "pulled 1 tracked paths from store" in ran.err


def test_a_build_that_no_lock_tells_of_comes_from_the_run_cache(
    pushed: Checkout, clone: Checkout, tmp_path: Path
) -> None:
    other = pushed.clone(tmp_path / "other")
    assert other.doit("--pull").code == 0
    for checkout in (other, clone):
        checkout.edit("m", "samples: 4", "samples: 4\n  algorithm: mmse")
    assert "ran" in other.doit("m").steps.values()
    other.dvc("push", "-q", "--run-cache")
    ran = clone.doit("--pull", "m")
    assert (ran.code, set(ran.steps.values())) == (0, {"restored"}), ran.err
    made, theirs = (c.built("m", "rk3588/model.rknn").read_bytes() for c in (clone, other))
    assert made == theirs
