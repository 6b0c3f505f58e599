"""Of tests on several workers, those that take longest start first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import durations, inner_suite
from tests.vacuous import some

CONFTEST = """
from pathlib import Path
from tests import durations
from tests.conftest import pytest_collection_modifyitems

pytest_addoption, pytest_configure = durations.add_option, durations.configure
durations.PLACE = Path(__file__).with_name("durations.txt")
durations.LEAST_S = 0.2
"""
SUITE = """
import time
import pytest

@pytest.fixture(scope="module")
def shared():
    time.sleep(0.3)

def test_quick():
    pass

@pytest.mark.parametrize("address", ["m@rk3588"])
def test_slow(address):
    time.sleep(0.6)

@pytest.mark.parametrize("number", range(2))
def test_shares(shared, number):
    pass
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "durations.txt").write_text("")
    return inner_suite.lay_out(tmp_path, CONFTEST, SUITE)


def run(suite: Path, *options: str) -> list[str]:
    """Names of the tests in the order in which they ran, of one worker."""
    told = inner_suite.run(suite, 1, "-v", *options)
    lines = [line for line in told.splitlines() if "PASSED" in line]
    return [line.partition("::")[2].split("@test_it")[0].strip() for line in lines]


def test_the_slow_are_first_once_they_are_known(suite: Path) -> None:
    grouped, alone = ["test_shares[0]", "test_shares[1]"], ["test_quick", "test_slow[m@rk3588]"]
    assert run(suite, "--write-durations") == [*grouped, *alone]
    assert durations.known(suite / "durations.txt").keys() == {
        "test_it.py::test_slow[m@rk3588]",
        "test_it",
    }
    assert run(suite) == ["test_slow[m@rk3588]", *grouped, "test_quick"]


def test_the_known_are_longest_first() -> None:
    seconds = [*durations.known().values()]
    assert seconds == sorted(seconds, reverse=True)
    for one in some(seconds):
        assert one >= durations.LEAST_S


@pytest.mark.parametrize(
    ("node", "unit"),
    [
        ("tests/test_a.py::test_a", "tests/test_a.py::test_a"),
        ("tests/test_a.py::test_a[x@y]", "tests/test_a.py::test_a[x@y]"),
        ("tests/test_a.py::test_a@test_a", "test_a"),
        ("tests/test_a.py::test_a[x@y]@test_a-2.5.0", "test_a-2.5.0"),
    ],
)
def test_a_group_is_one(node: str, unit: str) -> None:
    assert durations.unit(node) == unit
