"""A file is written whole or not at all, also where the disk takes a part of what it is given."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipelines.files import atomic

DATA = bytes(range(256)) * 40


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    atomic.write(tmp_path / "a/b/c", DATA, is_synced=False, mode=0o444)
    assert (tmp_path / "a/b/c").read_bytes() == DATA
    assert (tmp_path / "a/b/c").stat().st_mode & 0o777 == 0o444
    assert [file.name for file in (tmp_path / "a/b").iterdir()] == ["c"]


@pytest.mark.parametrize("is_synced", [True, False])
def test_what_lasts_is_on_the_disk_before_it_is_in_place(
    is_synced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut may leave an empty file in the place of the old one."""
    calls: list[str] = []

    def noted(name: str, real: Callable[..., Any], *given: Any) -> None:
        calls.append(name)
        real(*given)

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, partial(noted, name, getattr(os, name)))
    atomic.write(tmp_path / "c", DATA, is_synced=is_synced)
    assert calls == (["fsync", "replace"] if is_synced else ["replace"])
    assert (tmp_path / "c").read_bytes() == DATA


def test_short_writes_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, bytes(data)[:1000]))
    atomic.write(tmp_path / "c", DATA)
    assert (tmp_path / "c").read_bytes() == DATA


def test_a_disk_that_fills_up_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c").write_bytes(b"old")
    real, room = os.write, [1000]

    def write(file: int, data: bytes) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return real(file, bytes(data)[: room.pop()])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space left"):
        atomic.write(tmp_path / "c", DATA)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("c", b"old")]


def test_unused_names_are_passed_over(tmp_path: Path) -> None:
    """A dead process had our number, and left its files."""
    first, path = atomic.unused(f"{tmp_path}/x")
    number = int(path.rpartition("-")[2], 16)
    taken = f"{path.rpartition('-')[0]}-{number + 1:x}"
    Path(taken).write_text("theirs")
    second, other = atomic.unused(f"{tmp_path}/x")
    os.close(first)
    os.close(second)
    assert other not in (path, taken)
    assert Path(taken).read_text() == "theirs"


def test_threads_never_share_a_file(tmp_path: Path) -> None:
    paths: list[str] = []

    def make() -> None:
        for _ in range(200):
            file, path = atomic.unused(f"{tmp_path}/x")
            os.close(file)
            paths.append(path)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == len(paths) == 800
