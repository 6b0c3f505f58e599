"""The disk that holds the whole project fills up: told in a sentence, and nothing wrong is kept."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.fake_project import FakeProject
from tests.test_dvc_safety import mounted
from tests.test_faults import everything
from tests.vacuous import some

DISK = 64 << 20
Rows = list[list[Any]]  # bytes left, code and words of the full disk's run and the next, files
LEFT = [*range(0, 200_000, 16_384), *range(200_000, 520_000, 64_000), 2_000_000]  # bytes
CODE = "import sys; from tests.test_full_disk import fill_and_free; fill_and_free(sys.argv[1])"


def fill_and_free(place: str) -> None:
    """Build with every amount of LEFT, then with room enough. Prints what was told, as JSON."""
    root = Path(place)
    project = FakeProject(root, size=20_000)
    project.add_models(1)
    rows = []
    for left in LEFT:
        filler = root / "filler"
        with filler.open("wb") as file:
            status = os.statvfs(root)
            os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - left)
        full = project.doit("-n", "2")
        filler.unlink()
        free = project.doit("-n", "2")
        digest = {path: str(hash(data)) for path, data in everything(root).items()}
        rows.append([left, full.code, full.out + full.err, free.code, free.err, digest])
        for path in (".dvc/cache", ".npumake/work", ".npumake/seals"):
            shutil.rmtree(root / path, ignore_errors=True)
        shutil.rmtree(root / "models" / "m0000" / "build")
        for file_name in ("contents.txt", "locks.txt", "dvc_yaml.json"):
            (root / ".npumake" / file_name).unlink(missing_ok=True)
        for file_name in ("dvc.lock", "dvc.yaml"):
            (root / "models" / "m0000" / file_name).unlink()
    print(json.dumps(rows))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    root = tmp_path_factory.mktemp("full")
    disk = f"mount -t tmpfs -o size={DISK} tmpfs {root}"
    done = mounted(root, disk, CODE, is_shared=True)
    assert done.code == 0, done.err
    return list(json.loads(done.out))


def test_a_full_disk_is_told_without_a_traceback(rows: Rows) -> None:
    for left, code, told, *_ in rows:
        assert "Traceback" not in told, f"{left} bytes left:\n{told}"
        if code != 0:
            assert "the disk is full" in told or "No space left on device" in told, told
    assert rows[0][1] != 0
    assert rows[-1][1] == 0


def test_with_room_the_same_command_ends_as_a_clean_build(rows: Rows) -> None:
    clean = rows[-1][-1]
    for left, _, _, code, told, files in some(rows):
        assert code == 0, f"{left} bytes had been left:\n{told}"
        assert files == clean, f"{left} bytes had been left: {files.keys() ^ clean.keys()}"
