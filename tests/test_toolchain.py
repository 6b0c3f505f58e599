"""Environments: made once, noticed when broken, made again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.toolchain import Environments, ToolchainError, known, load
from tests.conftest import ROOT, lay_out


def folder_of(environments: Environments) -> Path:
    return environments.python("fake").parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Its toolchain is not made yet."""
    return lay_out(tmp_path)


@pytest.fixture
def made(project: Path) -> Environments:
    environments = Environments(project)
    environments.make(["fake"])
    return environments


def test_is_made_once(made: Environments) -> None:
    before = folder_of(made).stat().st_ino
    made.make(["fake"])
    assert folder_of(made).stat().st_ino == before
    assert made.missing(["fake"]) == []


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


def test_every_toolchain_loads() -> None:
    for name in known(ROOT):
        toolchain = load(ROOT, name)
        assert toolchain.preload
        assert all((ROOT / path).is_dir() for path in toolchain.paths)
