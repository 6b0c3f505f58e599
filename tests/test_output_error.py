"""What a cosine does not see is told of every output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipelines.stages.compare.jobs.comparison import UNCOMPARED, compare, worst_output
from quant.report.output_error import OutputError

Array = np.ndarray[Any, Any]


def error(*pairs: tuple[Array, Array]) -> OutputError:
    found = OutputError()
    for expected, actual in pairs:
        found.add(expected, actual)
    return found


def image(*channels: float) -> Array:
    """[1, C, 2, 4]: a ramp times a factor a channel."""
    ramp = np.linspace(-1, 1, 8).reshape(1, 1, 2, 4)
    return np.asarray(ramp * np.array(channels).reshape(1, -1, 1, 1), np.float32)


def test_a_factor_is_invisible_to_the_cosine() -> None:
    outputs, _ = compare([({"y": image(1, 2)}, {"y": 3 * image(1, 2)})])
    assert outputs["y"]["cosine"]["worst"] == pytest.approx(1)
    assert outputs["y"]["scale"] == pytest.approx(3)
    assert outputs["y"]["relative_error"] == pytest.approx(4 / 4)


def test_small_channels_beside_large_ones() -> None:
    """Boxes in pixels and scores in one output: the scores are all 0."""
    outputs, findings = compare([({"y": image(600, 1, 1)}, {"y": image(600, 0, 0)})])
    assert outputs["y"]["cosine"]["worst"] > 0.999
    assert outputs["y"]["constant_channels"] == {"axis": 1, "count": 2, "of": 3}
    assert findings == [
        "output `y`: 2 of 3 channels (axis 1) are constant, in the float network none of these is"
    ]


def test_error_of_channels_by_their_own_range() -> None:
    expected, actual = image(600, 1, 1), image(600, 1, 1)
    actual[0, 1] = 0
    actual[0, 0, 0, 0] += 12
    found = error((expected, actual)).by_channel
    assert found == {"axis": 1, "worst": 0.5, "mean": pytest.approx((0.01 + 0.5) / 3)}
    boxes = np.arange(16.0, dtype=np.float32).reshape(1, 8, 2)
    assert error((boxes, boxes + 7)).by_channel == {"axis": 2, "worst": 0.5, "mean": 0.5}
    turned = boxes.transpose(0, 2, 1)
    assert error((turned, turned + 7)).by_channel == {"axis": 1, "worst": 0.5, "mean": 0.5}
    assert error((np.ones((1, 8), np.float32), np.ones((1, 8), np.float32))).by_channel is None


def test_columns_of_a_list_of_boxes() -> None:
    rows = np.stack([np.arange(8.0), np.arange(8.0) / 100], axis=1)[None].astype(np.float32)
    lost = rows.copy()
    lost[..., 1] = 0
    assert error((rows, lost)).constant == (2, 1, 2)


def test_one_number_has_an_error_and_no_cosine() -> None:
    """The samples' range is what it is off by."""
    numbers = [
        (np.full((1, 1), x, np.float32), np.full((1, 1), y, np.float32))
        for x, y in ((0.40, 0.45), (0.50, 0.45))
    ]
    outputs, _ = compare([({"y": one}, {"y": other}) for one, other in numbers])
    assert outputs["y"]["values"] == 1
    assert worst_output(outputs) == {
        "worst_output_cosine": None,
        "worst_cosine_output": None,
        "worst_output_error": pytest.approx(0.5),
        "worst_error_output": "y",
    }


@pytest.mark.parametrize(
    ("expected", "actual", "relative"),
    [(3.0, 3.3, 0.1), (0.0, 0.0, 0.0), (0.0, 0.1, None)],
)
def test_a_constant_output(expected: float, actual: float, relative: float | None) -> None:
    found = error((np.full((1, 4), expected), np.full((1, 4), actual))).relative
    assert found == (relative if relative is None else pytest.approx(relative))


def test_what_is_not_finite_is_worst() -> None:
    good, bad = image(1, 1), image(np.inf, 1)
    outputs, _ = compare([({"a": good, "b": good}, {"a": good, "b": bad})])
    worst = worst_output(outputs)
    assert (worst["worst_output_cosine"], worst["worst_cosine_output"]) == (None, "b")
    assert (worst["worst_output_error"], worst["worst_error_output"]) == (None, "b")


@pytest.mark.parametrize(
    ("renamed", "shape", "finding"),
    [
        ("other", (1, 3, 4, 4), "output `other` is none of the float network's: not compared"),
        (
            "b",
            (1, 3, 4),
            "output `b` is [1, 3, 4], in the float network [1, 3, 4, 4]: not compared",
        ),
    ],
)
def test_an_output_that_is_not_compared_is_no_good_one(
    renamed: str, shape: tuple[int, ...], finding: str
) -> None:
    """The other output is right in every bit, which says nothing of this one."""
    good = np.arange(48.0).reshape(1, 3, 4, 4)
    outputs, findings = compare(
        [({"a": good, "b": good}, {"a": good, renamed: np.zeros(shape)})] * 2
    )
    assert findings == [finding]
    assert outputs[renamed] == UNCOMPARED
    assert worst_output(outputs) == {
        "worst_output_cosine": None, "worst_cosine_output": renamed,
        "worst_output_error": None, "worst_error_output": renamed,
    }  # fmt: skip
