"""A copy of plain data is copy.deepcopy's, and shares with the original what that shares."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest

from pipelines.backends.rknn.sdk.instead.plain_copy import NotPlain, plain_copy
from tests.vacuous import some

SHARED = [0.5, -1.0]
ROUND: list[Any] = [1]
ROUND.append(ROUND)
DATA = {
    "as the SDK has it": {
        "a": {"min": SHARED, "max": SHARED, "scale": [], "dtype": "int8"},
        1: None,
    },
    "lists in lists": [[1, [2.5, "x"]], [], {}, True, SHARED, SHARED],
    "special numbers": [math.inf, -0.0, 2**70, False],
    "one number": 3,
}


class Numbers(list[float]):
    """A list, and more."""


@pytest.mark.parametrize("data", DATA.values(), ids=list(DATA))
def test_it_is_deepcopys(data: Any) -> None:
    found, expected = plain_copy(data), copy.deepcopy(data)
    assert repr(found) == repr(expected)
    assert shape(found) == shape(expected) == shape(data)
    assert not parts(found).keys() & parts(data).keys()


def test_what_holds_itself() -> None:
    found = plain_copy(ROUND)
    assert found[1] is found
    assert found is not ROUND


@pytest.mark.parametrize("other", [Numbers([1.0]), (1, 2), {(1, 2): 3}, b"1", {1}])
def test_anything_else_is_left_alone(other: object) -> None:
    for data in some([other, [other], {"a": [1, other]}]):
        with pytest.raises(NotPlain):
            plain_copy(data)


def parts(data: Any) -> dict[int, Any]:
    """Lists and dicts in it by id, in the order in which they are found."""
    found: dict[int, Any] = {}

    def look(one: Any) -> None:
        if isinstance(one, list | dict) and id(one) not in found:
            found[id(one)] = one
            for below in one.values() if isinstance(one, dict) else one:
                look(below)

    look(data)
    return found


def shape(data: Any) -> list[list[int]]:
    """Of each part, the numbers of the parts in it."""
    found = parts(data)
    number = {key: place for place, key in enumerate(found)}
    return [
        [
            number[id(one)]
            for one in (part.values() if isinstance(part, dict) else part)
            if id(one) in number
        ]
        for part in found.values()
    ]
