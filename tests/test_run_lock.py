"""The run lock: its holder is named, and what a holder that died had left is removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.front.doit.run_lock import RunLock


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    """What a kill leaves of a dvc.yaml that was being written."""
    (tmp_path / "models" / "m").mkdir(parents=True)
    (tmp_path / ".dvc").mkdir()
    torn = tmp_path / "models" / "m" / ".dvc.yaml.288c-0"
    torn.write_text("sta")
    os.utime(torn, (0, 0))
    return torn


def test_what_a_dead_holder_left_is_removed(torn: Path, tmp_path: Path) -> None:
    lock = tmp_path / ".npumake" / "run.lock"
    lock.parent.mkdir()
    lock.write_text("288c")
    with RunLock(tmp_path):
        assert lock.read_text() == str(os.getpid())
        assert not torn.exists()
    assert lock.read_text() == ""


def test_nothing_is_removed_after_a_run_that_ended(torn: Path, tmp_path: Path) -> None:
    for _ in range(2):
        with RunLock(tmp_path):
            assert torn.exists()
