"""Folders of unfinished work: what a kill leaves is removed by whoever writes there next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.files import unfinished
from pipelines.release import archive

KILLED_IN_WRITE = """
import os, sys
from pathlib import Path
from pipelines.release import archive

def _kill(packed, *given):
    packed.write(b"some")
    os.kill(os.getpid(), 9)

archive._write = _kill
archive.write(Path(sys.argv[1]), "net-1.0.0", {"a": b"1"}, 0)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def killed(place: Path) -> None:
    """A release that ends while its archive is written."""
    done = subprocess.run([sys.executable, "-c", KILLED_IN_WRITE, str(place)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len([name for name in names(place.parent) if name.startswith(".npumake-")]) == 1


def test_what_a_killed_release_left_goes_with_the_next(tmp_path: Path) -> None:
    place = tmp_path / "dist" / "net-1.0.0.tar.gz"
    killed(place)
    archive.write(place.with_name("net-1.0.1.tar.gz"), "net-1.0.1", {"a": b"1"}, 0)
    assert names(place.parent) == ["net-1.0.1.tar.gz"]


def test_a_kill_leaves_the_archive_that_was_there(tmp_path: Path) -> None:
    place = tmp_path / "net-1.0.0.tar.gz"
    archive.write(place, "net-1.0.0", {"a": b"2"}, 0)
    before = place.read_bytes()
    killed(place)
    assert place.read_bytes() == before


def test_what_a_living_process_makes_is_left_alone(tmp_path: Path) -> None:
    with unfinished.folder_in(tmp_path) as outer:
        (outer / "a").write_text("1")
        with unfinished.folder_in(tmp_path) as inner:
            assert sorted(names(tmp_path)) == sorted([outer.name, inner.name])
        assert names(tmp_path) == [outer.name]
        assert names(outer) == ["a"]
    assert names(tmp_path) == []


def test_what_others_made_is_left_alone(tmp_path: Path) -> None:
    """Only folders of exactly such a name: no file, no link, no other word."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "notes").write_text("1")
    place = tmp_path / "place"
    place.mkdir()
    (place / ".npumake-abcd1234").symlink_to(elsewhere)
    (place / ".npumake-abcd1235").write_text("1")
    for name in (".npumake", ".npumake-abcd12345", "npumake-abcd1234"):
        (place / name).mkdir()
    before = names(place)
    unfinished.write(place, {"a": b"1"})
    assert names(place) == sorted([*before, "a"])
    assert names(elsewhere) == ["notes"]


def test_files_are_whole_or_as_before(tmp_path: Path) -> None:
    """The second can't be written: the first stays as it was."""
    unfinished.write(tmp_path / "new", {"a": b"1", "b": b"2"})
    assert {name: (tmp_path / "new" / name).read_bytes() for name in names(tmp_path / "new")} == {
        "a": b"1",
        "b": b"2",
    }
    with pytest.raises(FileNotFoundError):
        unfinished.write(tmp_path / "new", {"a": b"3", "absent/b": b"4"})
    assert (tmp_path / "new" / "a").read_bytes() == b"1"
    assert names(tmp_path / "new") == ["a", "b"]


def test_modes_are_those_of_new_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        unfinished.write(tmp_path, {"a": b"1"})
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
