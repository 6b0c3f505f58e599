"""The run-cache's names are those that DVC gives."""

from __future__ import annotations

import copy
from typing import Any

from dvc.stage.cache import _get_cache_hash  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dvc import lock_text
from pipelines.dvc.stage import DvcStage

KEYS = st.one_of(st.sampled_from(["size", "nfiles", "md5", "a.b"]), st.text(min_size=1, max_size=5))
LEAVES = st.one_of(
    st.text(max_size=8), st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False)
)
VALUES = st.recursive(
    LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=12
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "path": st.text(min_size=1, max_size=8),
            "md5": st.text(max_size=8),
            "size": st.integers(),
        },
        optional={"nfiles": st.integers(), "isexec": st.just(True)},
    ),
    min_size=1,
    max_size=3,
)
STAGES = st.fixed_dictionaries(
    {"cmd": st.text(min_size=1), "outs": ROWS},
    optional={"deps": ROWS, "params": st.dictionaries(KEYS, VALUES, min_size=1, max_size=3)},
)


@settings(max_examples=500, deadline=None)
@given(STAGES)
def test_names_are_dvcs(data: dict[str, Any]) -> None:
    stage = DvcStage("one", data)
    assert stage.key == _get_cache_hash(copy.deepcopy(data), key=True)
    assert stage.value == _get_cache_hash(copy.deepcopy(data))


@settings(max_examples=100, deadline=None)
@given(STAGES)
def test_texts_are_lock_texts(data: dict[str, Any]) -> None:
    stage = DvcStage("one", data)
    assert stage.text == lock_text.dump_stage("one", data)
    assert stage.document == lock_text.dump(data)
