"""Pins and their hashes; what is installed is what they say, and a change of it is told."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.building.builder import Builder
from pipelines.building.project import Project
from pipelines.front.commands.building.toolchains import Toolchains
from pipelines.run.toolchain import pins
from pipelines.run.toolchain.installed import Change, Installed
from pipelines.run.toolchain.pip_config import install_environment
from pipelines.run.toolchain.toolchain import Environments, ToolchainError, forget_own, own_changes
from pipelines.run.worker import Failed
from tests import small_wheel
from tests.conftest import ROOT, lay_out, read_once
from tests.fake_steps import make_step, write_job

pytestmark = pytest.mark.usefixtures("pip_read_once")

FILES = sorted((ROOT / "toolchains").glob("*.txt"))
MODULE = "lib/python3*/site-packages/npumake_fixture/__init__.py"


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose toolchain `fake` has one package, and uv's cache with the same files."""
    root = lay_out(tmp_path_factory.mktemp("once") / "project")
    (root / "toolchains/fake.txt").write_text(small_wheel.make(root.parent / "wheels"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.run.toolchain.toolchain.read", read_once)
        use_uv(patch, root / "cache", root.parent / "wheels")
        Environments(root).make(["fake"])
    return root


def use_uv(monkeypatch: pytest.MonkeyPatch, cache: Path, wheels: Path) -> None:
    """Of these folders alone."""
    monkeypatch.setenv("UV_CACHE_DIR", str(cache))
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_LINK_MODE", "hardlink")


@pytest.fixture
def project(once: Path, tmp_path: Path) -> Path:
    """A copy, whose toolchain shares its files with its cache as the first one's does."""
    subprocess.run(["cp", "-a", f"{once}/.", tmp_path], check=True)
    return tmp_path


@pytest.fixture
def installed(once: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Environments:
    """The toolchain `fake` with one package, from a folder of wheels and a cache of its own."""
    use_uv(monkeypatch, project / "cache", once.parent / "wheels")
    assert module_of(Environments(project)).stat().st_nlink == 2  # the cache's file too
    return Environments(project)


@pytest.fixture
def alone(installed: Environments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environments:
    """The same, and no other Python to try: to look at all of the machine's takes a second."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return installed


def folder_of(environments: Environments) -> Path:
    return environments.python("fake").parent.parent


def module_of(environments: Environments) -> Path:
    return next(folder_of(environments).glob(MODULE))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_pin_has_hashes_in_the_form_that_the_tool_writes(file: Path) -> None:
    written = file.read_text()
    comments, found = pins.parse(written)
    assert found and all(pin.hashes for pin in found)
    assert pins.text(comments, found) == written
    assert all(pin.hashes == tuple(sorted(set(pin.hashes))) for pin in found)
    assert "://" not in written and "index" not in written


def test_a_version_has_the_same_hashes_in_every_toolchain() -> None:
    held: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    for file in FILES:
        for pin in pins.parse(file.read_text())[1]:
            held.setdefault((pin.name, pin.version), set()).add(pin.hashes)
    assert {name for name, hashes in held.items() if len(hashes) > 1} == set()


def torch_pin() -> pins.Pin:
    held = pins.parse((ROOT / "toolchains/torch.txt").read_text())[1]
    return next(pin for pin in held if pin.name == "torch")


def test_torch_has_the_hashes_of_every_cpu_wheel() -> None:
    """Of three Pythons on two machines."""
    assert torch_pin().version == "2.13.0+cpu"
    assert len(torch_pin().hashes) >= 6


@pytest.mark.parametrize(
    ("wheel", "is_taken"),
    [
        ("a-1-py3-none-any.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("a-1-cp310-cp310-manylinux_2_28_aarch64.whl", True),
        ("a-1-cp38-abi3-manylinux_2_17_x86_64.whl", True),
        ("a-1-cp313-abi3-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp313-cp313-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp39-cp39-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", False),
        ("a-1-cp311-cp311-macosx_11_0_arm64.whl", False),
        ("a-1-cp311-cp311-win_amd64.whl", False),
        ("a-1-cp311-cp311-manylinux_2_17_ppc64le.whl", False),
    ],
)
def test_hashes_are_of_what_a_supported_python_takes(wheel: str, is_taken: bool) -> None:
    assert pins._is_taken(wheel) == is_taken


def test_hashes_that_stand_stay_for_a_local_version_alone() -> None:
    old, new = "0" * 64, "1" * 64
    local = pins.Pin("torch", "2+cpu", "", (old,))
    assert pins._with_hashes(local, {"a-1-py3-none-any.whl": new}).hashes == (old, new)
    assert pins._with_hashes(local, {}).hashes == (old,)
    plain = pins.Pin("six", "1", "", (old,))
    assert pins._with_hashes(plain, {"a-1-py3-none-any.whl": new, "a.tar.gz": old}).hashes == (new,)
    with pytest.raises(ValueError, match="no index of pip's configuration has a file for six"):
        pins._with_hashes(plain, {})


def test_another_file_of_the_same_version_is_refused(
    alone: Environments, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another cache"))
    pin = (project / "toolchains/fake.txt").read_text()
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    small_wheel.make(tmp_path / "wheels", "VALUE = 'another'\n")
    (project / "toolchains/fake.txt").write_text(f"# moved\n{pin}")
    with pytest.raises(ToolchainError, match=r"[Hh]ash"):
        alone.make(["fake"])
    assert alone.missing(["fake"]) != []


def test_a_pin_without_a_hash_is_refused(alone: Environments, project: Path) -> None:
    (project / "toolchains/fake.txt").write_text("npumake-fixture==1.0\n")
    with pytest.raises(ToolchainError, match="hash"):
        alone.make(["fake"])


def rewritten(module: Path) -> None:
    """Through the hard link, as an editor that writes in place does."""
    module.write_text("VALUE = 7\n")


def removed(module: Path) -> None:
    module.unlink()


def added(module: Path) -> None:
    (module.parent / "extra.py").write_text("")


def shadowed(module: Path) -> None:
    (module.parent.parent / "numpy.py").write_text("")


def rerecorded(module: Path) -> None:
    """The file and its record with it."""
    module.write_text("VALUE = 7\n")
    record = module.parent.parent / "npumake_fixture-1.0.dist-info" / "RECORD"
    record.write_text(
        "".join(r for r in record.read_text().splitlines(True) if "__init__" not in r)
    )


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "rewritten": (rewritten, "npumake_fixture/__init__.py of npumake_fixture 1.0 was changed"),
    "removed": (removed, "npumake_fixture/__init__.py of npumake_fixture 1.0 is missing"),
    "added": (added, "npumake_fixture/extra.py was added"),
    "shadowed": (shadowed, "site-packages/numpy.py was added"),
    "rerecorded": (rerecorded, "RECORD of npumake_fixture 1.0 was changed"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_told_and_the_environment_is_made_again(
    name: str, installed: Environments, capfd: pytest.CaptureFixture[str]
) -> None:
    change, told = CHANGES[name]
    module = module_of(installed)
    change(module)
    with pytest.raises(ToolchainError, match="toolchain fake is not as it was installed"):
        installed.python("fake")
    installed.make(["fake"])
    assert told in capfd.readouterr().err
    assert module.read_text() == "VALUE = 1\n"  # uv's cache held the edit too
    assert Installed(folder_of(installed)).changes(wholly=True) == []


def test_what_size_and_time_hide_is_found_wholly(installed: Environments) -> None:
    module = module_of(installed)
    status = module.stat()
    module.write_text("VALUE = 3\n")
    os.utime(module, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert installed.check(["fake"], wholly=False) == []
    assert installed.check(["fake"], wholly=True) == ["fake"]
    assert installed.missing(["fake"]) != []


def test_bytecode_is_no_change_and_goes_when_all_is_read(installed: Environments) -> None:
    cache = module_of(installed).parent / "__pycache__"
    cache.mkdir()
    (cache / "__init__.cpython-311.pyc").write_bytes(b"anything")
    assert installed.check(["fake"], wholly=False) == []
    assert installed.check(["fake"], wholly=True) == []
    assert not cache.exists()


def test_new_times_alone_are_noted_anew(installed: Environments) -> None:
    """As after a copy: read once, and not again."""
    folder, module = folder_of(installed), module_of(installed)
    before = (folder / "made").read_bytes()
    os.utime(module, ns=(1, 1))
    assert Installed(folder).changes(wholly=False) == []
    after = (folder / "made").read_bytes()
    assert after != before
    assert Installed(folder).changes(wholly=False) == []
    assert (folder / "made").read_bytes() == after


def test_nothing_is_recorded_of_a_changed_toolchain(installed: Environments, project: Path) -> None:
    (project / "models/m/a.txt").write_text("a")
    write_job(project, "join")
    step = make_step("one", {"a": "models/m/a.txt"})
    builder = Builder(project)
    rewritten(module_of(installed))
    try:
        with pytest.raises(Failed, match="toolchain fake is not as it was installed"):
            builder.ensure(step)
        assert builder.locks.entry(step) is None
        assert not (project / "models/m/build").exists()
    finally:
        builder.close()


def test_a_step_stands_on_the_file_of_pins() -> None:
    """Its facts are then the pins with all their hashes: equal on every machine and Python."""
    assert "toolchains/fake.txt" in make_step("one", {}).dependencies


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("PIP_USER", "packages go into an environment of their own"),
        ("PIP_TARGET", "packages go into an environment of their own"),
        ("UV_CONSTRAINT", "packages are what toolchains/*.txt say"),
        ("UV_OVERRIDE", "packages are what toolchains/*.txt say"),
    ],
)
def test_settings_that_would_change_what_is_installed_are_left_out(
    name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    environment, sentences = install_environment()
    assert f"{name} is left out here: {told}" in sentences
    assert environment.get(name) in (None, "0")


@pytest.mark.parametrize("name", ["PIP_REQUIRE_HASHES", "UV_REQUIRE_HASHES"])
def test_settings_that_ask_for_hashes_are_met(
    name: str, installed: Environments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    assert install_environment()[1] == []
    installed.remove("fake")
    installed.make(["fake"])
    assert installed.missing(["fake"]) == []


def test_an_index_without_torch_is_told_in_a_sentence(
    alone: Environments, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")  # else it waits where PyTorch's index is not there
    (project / "toolchains/fake.txt").write_text(f"{torch_pin()}\n")
    with pytest.raises(ToolchainError) as caught:
        alone.make(["fake"])
    assert "torch's CPU build is on an index of its own: pip's extra-index-url" in str(caught.value)


def test_check_reads_everything_and_remakes_what_changed(
    installed: Environments,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """./doit toolchains --check; .venv is this very one, which takes seconds to read."""
    own: list[Change] = []
    monkeypatch.setattr("pipelines.front.commands.building.toolchains.own_changes", lambda: own)
    command = Toolchains(cmds=None)
    command.project = Project(project)
    assert (
        command.act(argparse.Namespace(all=False, check=True, remake=False, prune=False, names=[]))
        == 0
    )
    assert capfd.readouterr().out == (
        "fake: every file is as its wheel's record says\n"
        ".venv: every file is as its wheel's record says\n"
    )
    rewritten(module_of(installed))
    assert (
        command.act(argparse.Namespace(all=False, check=True, remake=False, prune=False, names=[]))
        == 1
    )
    assert "npumake_fixture 1.0 was changed" in capfd.readouterr().err
    assert module_of(installed).read_text() == "VALUE = 1\n"


def test_what_changed_in_npumakes_own_environment_is_made_again_by_the_next_run(
    installed: Environments, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(installed)
    monkeypatch.setattr(sys, "prefix", str(folder))
    (folder / "made-from").write_text("pins")
    assert own_changes() == []
    rewritten(module_of(installed))
    assert [change.what for change in own_changes()] == ["was changed"]
    forget_own()
    assert not (folder / "made-from").exists()


def test_the_tool_is_documented() -> None:
    assert "python -m pipelines.run.toolchain.pins" in (ROOT / "docs/toolchains.md").read_text()
    assert re.search(r"toolchains --check", (ROOT / "docs/toolchains.md").read_text())


def test_a_copy_is_as_good(installed: Environments, tmp_path: Path) -> None:
    copy = shutil.copytree(folder_of(installed), tmp_path / "copy", symlinks=True)
    assert Installed(copy).changes(wholly=True) == []
