"""Tests that share a costly fixture run on one worker."""

from __future__ import annotations

from pathlib import Path

from tests import inner_suite

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
    told = inner_suite.run(inner_suite.lay_out(tmp_path, CONFTEST, SUITE), 2)
    made = (tmp_path / "made").read_text().split()
    assert len(made) == 1, f"by {made}\n{told}"
