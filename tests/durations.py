"""How long tests take: on several workers, those that take longest start first.

Else a worker is left with one of them while the others have none. `durations.txt` holds what takes
some seconds, a group of tests that one worker runs as one; it goes stale without harm. Written anew
by a run of the suite: `PYTEST_ADDOPTS=--write-durations ./doit test`.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from tests import sharing

PLACE = Path(__file__).with_suffix(".txt")
LEAST_S = 3.0  # shorter ones are in nobody's way


def known(place: Path | None = None) -> dict[str, float]:
    """Group, or the node's ID of a test without one -> seconds. Raises ValueError, OSError.

    place: PLACE by default.
    """
    lines = (line.split(" ", 1) for line in (place or PLACE).read_text().splitlines())
    return {name: float(seconds) for seconds, name in lines}


def unit(node: str) -> str:
    """The group of a node's ID as pytest-xdist gives it (`tests/test_a.py::test[x@y]@group`), or
    the ID where it has none."""
    _, _, group = node.rpartition("@")
    return node if "]" in group or group == node else group


class Durations:
    """A plugin that writes them, where it runs the session or hears of it from the workers."""

    def __init__(self) -> None:
        self._seconds = defaultdict[str, float](float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        total = defaultdict[str, float](float)
        for node, seconds in self._seconds.items():
            name = unit(node)
            if sharing.is_short(name) and seconds >= LEAST_S:  # the next run has it by itself
                name = node.removesuffix(f"@{name}")
            total[name] += seconds
        lines = [
            f"{seconds:.0f} {name}\n"
            for name, seconds in sorted(total.items(), key=lambda item: -item[1])
            if seconds >= LEAST_S
        ]
        PLACE.write_text("".join(lines))


def add_option(parser: pytest.Parser) -> None:
    parser.addoption("--write-durations", action="store_true", help=f"write {PLACE.name} anew")


def configure(config: pytest.Config) -> None:
    if config.getoption("--write-durations") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Durations())
