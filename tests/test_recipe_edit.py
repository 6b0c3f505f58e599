"""Editing a recipe changes one value and no other character."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pipelines.recipe.edit import set_value

BLOCK = """\
# head
model: m  # the name
simplify:
  # why
  tool: onnxsim   # fast

targets:
  rk3588: {}  # the board
"""
REWRITE = ("simplify", "rewrite")
OPTION = ("targets", "rk3588", "quantize", "rknn", "single_core_mode")


@pytest.mark.parametrize(
    ("text", "path", "value", "expected"),
    [
        (
            BLOCK,
            REWRITE,
            ["a", "b"],
            BLOCK.replace("# fast\n", "# fast\n  rewrite: [a, b]\n"),
        ),
        (
            BLOCK,
            OPTION,
            True,
            BLOCK.replace("{}", "{quantize: {rknn: {single_core_mode: true}}}"),
        ),
        ("a: {b: 1}\n", ("a", "c"), [1], "a: {b: 1, c: [1]}\n"),
        ("a: {b: 1} # x\n", ("a", "b"), 2, "a: {b: 2} # x\n"),
        ("a:\n- x # one\n- y # two\nb: 1\n", ("a",), ["z"], "a: [z] # two\nb: 1\n"),
        (
            "a:\n- x # one\n- y # two\n# - z\nb: 1\n",
            ("a",),
            ["x", "y", "z"],
            "a:\n- x # one\n- y # two\n- z\n# - z\nb: 1\n",
        ),
        ("a:\n  - x # one\nb: 1\n", ("a",), ["x"], "a:\n  - x # one\nb: 1\n"),
        ("a: [x, # one\n  y]  # b\n", ("a",), ["x", "y", "z"], "a: [x, # one\n  y, z]  # b\n"),
        ("a: [x # one\n ]\n", ("a",), ["x", "y"], "a: [x, y]\n"),
        ("a:\n  - x\nb: 1\n", ("a",), ["z"], "a: [z]\nb: 1\n"),
        ("a:\nb: 1\n", ("a", "c"), 2, "a: {c: 2}\nb: 1\n"),
        ("a: 1", ("b",), 2, "a: 1\nb: 2"),
        ("a:\n  b:\n    c: 1\n# end\n", ("a", "d"), 2, "a:\n  b:\n    c: 1\n  d: 2\n# end\n"),
    ],
)
def test_set_value(text: str, path: tuple[str, ...], value: Any, expected: str) -> None:
    assert set_value(text, path, value) == expected
    found: Any = yaml.safe_load(expected)
    for key in path:
        found = found[key]
    assert found == value


def test_a_path_through_a_scalar_is_refused() -> None:
    with pytest.raises(ValueError, match="`a` is no mapping"):
        set_value("a: 1\n", ("a", "b"), 2)
