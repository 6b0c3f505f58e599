"""What a remote or a *.dvc file says is hashed and checked before it is used."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from pipelines.building import pull as dvc_pull
from pipelines.building.project import Project
from pipelines.dvc import leftovers, tracked
from pipelines.dvc import repo as dvc_repo
from pipelines.dvc.remote import PullError, Remote
from pipelines.dvc.store import Store
from pipelines.record.digest import Content, folder_content, listing


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """The remote's folder."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    return folder


@pytest.fixture
def root(tmp_path: Path, theirs: Path) -> Path:
    """A project that pulls from it."""
    root = tmp_path / "project"
    for folder in (".dvc", "models/m", ".npumake", "toolchains"):
        (root / folder).mkdir(parents=True)
    remote = f"['remote \"theirs\"']\n    url = {theirs}\n"
    core = "[core]\n    no_scm = true\n    analytics = false\n    remote = theirs\n"
    (root / ".dvc/config").write_text(core + remote)
    return root


def put(theirs: Path, data: bytes, md5: str | None = None, suffix: str = "") -> str:
    """Put an object into the remote, by its own MD5 or by another. Returns it."""
    md5 = md5 or hashlib.md5(data).hexdigest() + suffix
    file = theirs / "files/md5" / md5[:2] / md5[2:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return md5


def cached(root: Path) -> set[str]:
    objects = root / ".dvc/cache/files/md5"
    return {file.parent.name + file.name for file in objects.rglob("*") if file.is_file()}


def test_an_object_that_is_not_what_its_name_says_is_told_and_not_kept(
    root: Path, theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong = put(theirs, b"right"), put(theirs, b"wrong", "ab" * 16)
    absent = "cd" * 16
    with Remote(root, Store(dvc_repo.cache(root))) as remote:
        remote.fetch({right, wrong, absent})
    assert cached(root) == {right}
    assert remote.count == 1
    assert f"object {wrong} of the remote theirs is not what its name says" in (
        capsys.readouterr().err
    )
    objects = root / ".dvc/cache/files/md5"
    assert {folder.name for folder in objects.iterdir()} == {right[:2]}
    assert stat.S_IMODE((objects / right[:2] / right[2:]).stat().st_mode) == 0o444


@pytest.mark.parametrize("relpath", ["../mine.txt", "/mine.txt", "x/../../mine.txt"])
def test_the_members_of_an_odd_listing_are_not_asked_for(
    root: Path, theirs: Path, relpath: str, capsys: pytest.CaptureFixture[str]
) -> None:
    member = put(theirs, b"member")
    rows = [{"md5": member, "relpath": relpath}]
    content = Content(put(theirs, json.dumps(rows).encode(), suffix=".dir"), 6, 1)
    (root / "models/m/data.dvc").write_text(tracked_text("data", content))
    with pytest.raises(PullError, match="models/m/data is not in theirs"):
        dvc_pull.pull_sources_for(Project(root), [])
    assert cached(root) == {content.md5}
    assert "is not used: `" in capsys.readouterr().err
    assert not list(root.rglob("mine.txt"))


def test_only_what_is_named_as_a_run_is_copied(root: Path, theirs: Path) -> None:
    right = f"{'a' * 64}/{'b' * 64}"
    names = (f"aa/{right}", f"aa/{'a' * 63}/{'b' * 64}", f"aa/{'a' * 64}/.bashrc", "notes.txt")
    for name in names:
        (theirs / "runs" / name).parent.mkdir(parents=True, exist_ok=True)
        (theirs / "runs" / name).write_text("cmd: x\n")
    with Remote(root, Store(dvc_repo.cache(root))) as remote:
        remote.fetch_runs()
    runs = root / ".dvc/cache/runs"
    found = {file.relative_to(runs).as_posix() for file in runs.rglob("*") if file.is_file()}
    assert found == {f"aa/{right}"}


def tracked_text(path: str, content: Content, more: str = "") -> str:
    row = f"- path: {path}\n  md5: {content.md5}\n  size: {content.size}\n  hash: md5\n"
    return f"outs:\n{row}{more}"


def test_a_file_and_a_folder_that_dvc_keeps_are_pulled(root: Path, theirs: Path) -> None:
    program = Content(put(theirs, b"#!/bin/sh\n"), 10)
    members = {"a.txt": put(theirs, b"a"), "b/c.txt": put(theirs, b"c")}
    put(theirs, listing(members), suffix=".dir")
    (root / "models/m/data.dvc").write_text(tracked_text("data", folder_content(members, 2)))
    (root / "run.sh.dvc").write_text(tracked_text("run.sh", program, "  isexec: true\n"))
    dvc_pull.pull_sources_for(Project(root), [])
    assert (root / "models/m/data/a.txt").read_text() == "a"
    assert (root / "models/m/data/b/c.txt").read_text() == "c"
    assert os.access(root / "run.sh", os.X_OK)
    assert tracked.missing(root, None) == []


ODD = {
    "up": ("path: ../up", "`../up` is not a path below"),
    "absolute": ("path: /etc/npumake", "`/etc/npumake` is not a path below"),
    "behind a link": ("path: link/x", "models/m/link is a link"),
    "git's own": ("path: .git/config", "`.git/config` is a path that DVC never looks at"),
    "no MD5": ("path: x, md5: ../../up", "'../../up' is no MD5"),
    "no hash": ("path: x, hash: null", "an earlier DVC wrote it"),
    "another remote": ("path: x, remote: other", "`remote` is more than ./doit --pull reads"),
}


@pytest.mark.parametrize("odd", list(ODD))
def test_an_odd_dvc_file_is_named_and_left(
    root: Path, odd: str, capsys: pytest.CaptureFixture[str]
) -> None:
    row, told = ODD[odd]
    (root / "models/m/link").symlink_to(root.parent)
    keys = f"{{md5: {'ab' * 16}, hash: md5, size: 1, {row}}}"
    if "md5" in row or "hash" in row:
        keys = f"{{size: 1, {row}}}" if "hash" in row else f"{{hash: md5, size: 1, {row}}}"
    (root / "models/m/x.dvc").write_text(f"outs: [{keys}]\n")
    assert tracked.missing(root, None) == []
    assert f"models/m/x.dvc is not used: {told}" in capsys.readouterr().err


def test_what_a_killed_pull_left_is_removed(root: Path) -> None:
    objects = root / ".dvc/cache/files/md5"
    left = [objects / "tmpabcdefgh/x", root / "models/m/.data.abcdefgh/data/x"]
    for file in left:
        file.parent.mkdir(parents=True)
        file.write_text("x")
    (root / "models/m/data.dvc").write_text("outs: []\n")
    for folder in (left[0].parent, left[1].parent.parent):
        os.utime(folder, (0, 0))
    leftovers.remove(root)
    assert not left[0].parent.exists()
    assert not left[1].parent.parent.exists()
    shutil.rmtree(objects)
