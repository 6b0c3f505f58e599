"""Tests that share a costly fixture run on one worker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

CONFTEST = "from tests.conftest import pytest_collection_modifyitems\n"
SUITE = """
import os
import pathlib
import pytest

@pytest.fixture(scope="module")
def costly():
    with pathlib.Path("made").open("a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")

@pytest.mark.parametrize("number", range(12))
def test_shares(costly, number):
    pass

@pytest.mark.parametrize("number", range(12))
def test_stands_alone(number):
    pass
"""


def test_what_is_shared_is_made_once(tmp_path: Path) -> None:
    """pytest 9.2.0 with pytest-xdist 3.8.0 ignores groups without a word."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = toolchain\n")
    options = ["-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder", "-p", "no:cacheprovider"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    made = (tmp_path / "made").read_text().split()
    assert len(made) == 1, f"by {made}\n{ran.stdout}{ran.stderr}"
