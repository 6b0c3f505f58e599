"""Reading what native code prints: from a log file, and where there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SCRIPT = """
import ctypes, os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from pipelines.backends.rknn.sdk.capture import captured
libc = ctypes.CDLL(None)
print("before")
libc.puts(b"native before")
try:
    with captured() as found:
        print("python")
        libc.puts(b"native")
        os.write(2, b"error\\n")
        if sys.argv[2] == "crash":
            libc.fflush(None)
            os.abort()
        if sys.argv[2] == "raise":
            raise ValueError("x")
except ValueError:
    pass
print("after")
sys.stdout.flush()
Path("found").write_text(found.text)
"""


@pytest.mark.parametrize("how", ["return", "raise"])
@pytest.mark.parametrize("where", ["file", "pipe"])
def test_everything_is_read_and_passed_on(tmp_path: Path, where: str, how: str) -> None:
    command = [sys.executable, "-c", SCRIPT, str(ROOT), how]
    if where == "file":
        with (tmp_path / "log").open("ab") as log:
            log.write(b"an earlier job\n")
            log.flush()
            subprocess.run(command, cwd=tmp_path, stdout=log, stderr=log, check=True)
        log_text = (tmp_path / "log").read_text()
    else:
        done = subprocess.run(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
        )
        log_text = done.stdout.decode()
    assert sorted((tmp_path / "found").read_text().splitlines()) == ["error", "native", "python"]
    inside = log_text.splitlines()
    for line in ("before", "native before", "python", "native", "error", "after"):
        assert inside.count(line) == 1, line
    assert inside.index("native before") < inside.index("native") < inside.index("after")


def test_a_crash_leaves_the_log_whole(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(ROOT), "crash"],
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            check=False,
        )
    assert done.returncode < 0
    assert "native\n" in (tmp_path / "log").read_text()
