"""Environments: made once, noticed when broken, made again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.run.toolchain.toolchain import Environments, ToolchainError, known, load
from pipelines.run.toolchain.versions import nearest, relative
from tests.conftest import ROOT, lay_out
from tests.vacuous import some

pytestmark = pytest.mark.usefixtures("pip_read_once")


def folder_of(environments: Environments) -> Path:
    return environments.python("fake").parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Its toolchain is not made yet."""
    return lay_out(tmp_path)


@pytest.fixture
def made(project: Path, fake_toolchain: Path) -> Environments:
    shutil.copytree(fake_toolchain, project / ".npumake" / "toolchains", symlinks=True)
    return Environments(project)


def test_is_made_once(made: Environments) -> None:
    before = folder_of(made).stat().st_ino
    made.make(["fake"])
    assert folder_of(made).stat().st_ino == before
    assert made.missing(["fake"]) == []


def test_it_has_the_python_that_runs_npumake(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which need not be on PATH, nor be the first of its version there."""
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    environments = Environments(project)
    environments.make(["fake"])
    asked = [str(environments.python("fake")), "-c", "import sys; print(sys.base_prefix)"]
    assert subprocess.check_output(asked, text=True).strip() == sys.base_prefix


@pytest.mark.parametrize("broken", ["made", "bin/python", "bin"])
def test_a_broken_environment_is_noticed_and_made_again(made: Environments, broken: str) -> None:
    folder = folder_of(made)
    place = folder / broken
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    with pytest.raises(ToolchainError, match="is not made"):
        made.python("fake")
    made.make(["fake"])
    assert made.python("fake").exists()


def test_a_dangling_interpreter_is_noticed(made: Environments) -> None:
    python = made.python("fake")
    python.unlink()
    python.symlink_to("/no/such/python")
    assert [toolchain.name for toolchain in made.missing(["fake"])] == ["fake"]


def test_other_pins_make_another_and_remove_the_old(made: Environments, project: Path) -> None:
    old = folder_of(made)
    (project / "toolchains/fake.txt").write_text("# other pins\n")
    made.make(["fake"])
    assert folder_of(made) != old
    assert not old.exists()


@pytest.fixture
def colleagues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two checkouts that share their environments."""
    monkeypatch.setenv("NPUMAKE_HOME", str(tmp_path / "home"))
    return lay_out(tmp_path / "one"), lay_out(tmp_path / "other")


def test_checkouts_share_an_environment(colleagues: tuple[Path, Path], tmp_path: Path) -> None:
    one, other = map(Environments, colleagues)
    one.make(["fake"])
    assert other.missing(["fake"]) == []
    assert folder_of(other) == folder_of(one)
    assert folder_of(one).parent == tmp_path / "home/toolchains"
    assert not (colleagues[0] / ".npumake").exists()


def test_other_pins_leave_the_colleague_his_environment(colleagues: tuple[Path, Path]) -> None:
    one, other = map(Environments, colleagues)
    one.make(["fake"])
    old = folder_of(other)
    (colleagues[0] / "toolchains/fake.txt").write_text("# other pins\n")
    one.make(["fake"])
    new = folder_of(one)
    assert (new != old, one.prune(), other.prune()) == (True, [], [])
    one.remove("fake")
    assert (new.exists(), old.exists()) == (False, True)
    (colleagues[1] / "toolchains/fake.txt").write_text("# other pins\n")
    assert (one.prune(), old.exists()) == ([old.name], False)


def test_a_checkout_that_is_gone_uses_nothing(colleagues: tuple[Path, Path]) -> None:
    one, other = map(Environments, colleagues)
    one.make(["fake"])
    old = folder_of(one)
    shutil.rmtree(colleagues[0])
    (colleagues[1] / "toolchains/fake.txt").write_text("# other pins\n")
    assert other.prune() == [old.name]


def test_nothing_else_is_pruned(made: Environments, project: Path) -> None:
    home = project / ".npumake/toolchains"
    kept = [folder_of(made), home / "notes", home / "fake-0123456789ab"]
    for folder in kept[1:]:
        folder.mkdir()
    gone = home / "rknn-1.0-0123456789ab-py311"
    gone.mkdir()
    assert made.prune() == [gone.name]
    assert all(folder.is_dir() for folder in kept)


def test_a_home_that_hangs_on_the_folder_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPUMAKE_HOME", "shared")
    with pytest.raises(ToolchainError, match="NPUMAKE_HOME is `shared`"):
        Environments(project)


def test_what_is_not_on_any_index_is_told_and_leaves_nothing(project: Path) -> None:
    (project / "toolchains/fake.txt").write_text("no-such-package-of-npumake==1.0\n")
    environments = Environments(project)
    with pytest.raises(ToolchainError) as error:
        environments.make(["fake"])
    assert "no-such-package-of-npumake" in str(error.value)
    assert "run the same command again" in str(error.value)
    assert not list((project / ".npumake/toolchains").glob("fake-*"))


def test_unknown_names_the_nearest() -> None:
    with pytest.raises(ToolchainError, match=r"did you mean `rknn-2\.5\.0`"):
        load(ROOT, "rknn-2.5")


def test_another_version_needs_pins_alone(project: Path) -> None:
    (project / "toolchains/fake-1.10.0.txt").write_text("")
    with pytest.raises(ToolchainError, match="does not say what") as told:
        load(project, "fake-1.10.0")
    assert "add an entry `fake-1.10.0:`" in str(told.value)
    table = project / "toolchains/toolchains.yaml"
    entries = {
        f"fake-1.{n}.0": {"download": f"{n} MB", "disk": "-", "preload": []} for n in (9, 11)
    }
    table.write_text(yaml.safe_dump(yaml.safe_load(table.read_text()) | entries))
    assert load(project, "fake-1.10.0").download == "9 MB"


def test_of_versions_the_newest_that_is_not_newer_is_nearest() -> None:
    known = ("2.5.0", "2.3.2", "2.10.0")
    given = ("2.3.1", "2.3.2", "2.4.9", "2.5.1", "2.9", "2.10.0", "3.0.0")
    found = [nearest(version, known) for version in given]
    assert found == ["2.3.2", "2.3.2", "2.3.2", "2.5.0", "2.5.0", "2.10.0", "2.10.0"]


def test_a_relative_differs_in_its_version_alone() -> None:
    known = ("core", "rknn-2.5.0", "rknn-2.3.2", "rknn-2.5.0-torch", "other-2.6.0")
    given = ("rknn-2.6.0", "rknn-2.4.0", "rknn-2.4.0-torch", "rknn-2.6.0-jax", "core", "new-1.0")
    found = [relative(name, known) for name in given]
    assert found == ["rknn-2.5.0", "rknn-2.3.2", "rknn-2.5.0-torch", None, None, None]


def test_every_toolchain_loads() -> None:
    for name in some(known(ROOT)):
        toolchain = load(ROOT, name)
        # dask.distributed runs in the front: no job does, and no server of it is started.
        assert toolchain.preload or name == "cluster"
        assert all((ROOT / path).is_dir() for path in toolchain.paths)
