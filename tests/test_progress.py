"""What is told of steps that run long."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.front.doit import progress
from pipelines.record import costs
from pipelines.record.costs import Cost


@pytest.mark.parametrize(
    ("running", "ended", "times", "told"),
    [
        ({"m:export": 2.4}, 0, {}, "step 1 of 5: m:export 2 s"),
        ({"m:build@a": 12}, 3, {"m:build@a": 36.6}, "step 4 of 5: m:build@a 12 s of about 37 s"),
        ({"m:build@a": 12}, 3, {"m:build@a": 0.3}, "step 4 of 5: m:build@a 12 s"),
        ({"b": 1, "a": 2}, 3, {}, "steps 4 to 5 of 5: a 2 s, b 1 s"),
        ({"a": 2}, 5, {}, "step 5 of 5: a 2 s"),
    ],
)
def test_says_which_step_how_long_and_what_is_usual(
    running: dict[str, float], ended: int, times: dict[str, float], told: str
) -> None:
    assert progress.text(running, ended, 5, times) == told


def test_times_are_kept_and_others_stay(tmp_path: Path) -> None:
    assert costs.read(tmp_path) == {}
    costs.remember(tmp_path, {"a": Cost(1.5, 10), "b": Cost(2)})
    costs.remember(tmp_path, {"b": Cost(3, 20)})
    assert costs.read(tmp_path) == {"a": (1.5, 10), "b": (3, 20)}
    file = tmp_path / ".npumake" / "costs.json"
    file.write_text('{"a": [1], "b": [2, -1], "c": "x", "d": [2, true], "e": [1, 2]}')
    assert costs.read(tmp_path) == {"e": (1, 2)}
    file.write_text("[")
    assert costs.read(tmp_path) == {}
