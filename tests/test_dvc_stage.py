"""The run-cache's names are those that DVC gives."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from dvc.stage.cache import _get_cache_hash  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dvc import lock_text
from pipelines.dvc.stage import DvcStage
from tests import drawn
from tests.vacuous import some

KEYS = drawn.one_of(drawn.sampled(["size", "nfiles", "md5", "a.b"]), drawn.text(1, 5))
LEAVES = drawn.one_of(
    drawn.text(0, 8),
    drawn.integer,
    drawn.boolean,
    drawn.nothing,
    drawn.finite_or_infinite,
)
PARAMS = drawn.mapping(KEYS, drawn.tree(LEAVES, KEYS, 3), 1, 3)
PATH, MD5, COMMAND = drawn.text(1, 8), drawn.text(0, 8), drawn.text(1, 20)
DRAWS = 20  # of one seed


def row(random: Random) -> dict[str, Any]:
    always = {"path": PATH(random), "md5": MD5(random), "size": drawn.integer(random)}
    perhaps = {"nfiles": drawn.integer(random), "isexec": True}
    return always | {key: value for key, value in perhaps.items() if drawn.boolean(random)}


ROWS = drawn.listed(row, 1, 3)


def stages(seed: int) -> list[dict[str, Any]]:
    random = Random(seed)
    return [
        {"cmd": COMMAND(random), "outs": ROWS(random)}
        | ({"deps": ROWS(random)} if drawn.boolean(random) else {})
        | ({"params": PARAMS(random)} if drawn.boolean(random) else {})
        for _ in range(DRAWS)
    ]


@settings(max_examples=500 // DRAWS, deadline=None)
@given(st.integers(0, 2**32))
def test_names_are_dvcs(seed: int) -> None:
    for data in some(stages(seed)):
        stage = DvcStage("one", data)
        assert stage.key == _get_cache_hash(copy.deepcopy(data), key=True)
        assert stage.value == _get_cache_hash(copy.deepcopy(data))


@settings(max_examples=100 // DRAWS, deadline=None)
@given(st.integers(0, 2**32))
def test_texts_are_lock_texts(seed: int) -> None:
    for data in some(stages(seed)):
        stage = DvcStage("one", data)
        assert stage.text == lock_text.dump_stage("one", data)
        assert stage.document == lock_text.dump(data)
