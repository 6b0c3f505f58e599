"""./doit test: where its tests write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pipelines.front.commands.building import test as command


def test_what_a_killed_run_left_in_memory_is_removed_and_no_more(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = (f"npumake-{ended.pid}-a", f"npumake-{os.getpid()}-b", "npumake-mine-c", "other-1-d")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text("a")
    command._clear(tmp_path)
    assert sorted(place.name for place in tmp_path.iterdir()) == sorted(names[1:])


def test_no_folder_in_memory_is_no_room(tmp_path: Path) -> None:
    assert not command._has_room(tmp_path / "absent")
