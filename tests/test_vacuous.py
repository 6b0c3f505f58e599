"""Every test checks something: none has all of its checks under a condition or in an empty loop."""

from __future__ import annotations

import ast
from textwrap import indent

import pytest

from tests import vacuous

# These fail by what they call: `test_file::test_name` -> what that does.
RAISES = {
    "test_board::test_a_board_that_is_ready": "require raises where it is not",
    "test_floors::test_no_two_folders_import_each_other": "prepare raises CycleError",
    "test_fuzz_readers::test_whole_tensors_of_every_kind_pass": "check_graph raises",
    "test_outside::test_a_link_inside_the_project_is_no_matter": "load_all raises Problems",
    "test_outside::test_what_dvc_keeps_may_be_a_link_into_its_cache": "load_all raises Problems",
    "test_private_apis::test_is_called_as_we_call_it": "bind raises TypeError",
    "test_recipe::test_the_schema_is_one": "check_schema raises",
    "test_tflite::test_damaged_metadata_says_nothing": "read_metadata raises",
}
# Nothing may be right: function and what it goes through -> why.
MAY_BE_EMPTY = {
    ("test_doctor_cures::test_no_layer_and_no_output_is_worse", "before.keys() - after.keys()"): (
        "a cure may leave all layers"
    ),
    ("test_fixed_point_fuzz::require_same_numbers", "cases"): "its callers count them",
    ("test_floors::test_imports_go_down", "ours(module)"): "a module may import none of ours",
    ("test_release::tampered", "edits.items()"): "asserts a type alone",
    ("test_report::test_what_changed_in_a_graph", "region[side]['edges']"): (
        "a region of one node has none"
    ),
    ("test_toolchain::test_every_toolchain_loads", "toolchain.paths"): "most put nothing there",
}


@pytest.fixture(scope="module")
def project() -> list[vacuous.File]:
    return vacuous.read()


def test_every_test_checks_something(project: list[vacuous.File]) -> None:
    found = vacuous.without_a_check(project)
    assert found == {*RAISES}, "each needs a check that no condition skips"


def test_no_loop_around_checks_goes_through_nothing(project: list[vacuous.File]) -> None:
    loops = (one for one in vacuous.loops(project) if one[0].startswith("test_"))
    found = {(place, ast.unparse(over)): line for place, line, over in loops}
    advice = "write `for one in some(found)`, of tests.vacuous, or assert what is found"
    assert {*found} == {*MAY_BE_EMPTY}, advice


HELPER = "def helper(x):\n    assert x\n\n"


def file(body: str) -> list[vacuous.File]:
    """Of one test with that body."""
    return vacuous.files({"test_a": f"{HELPER}def test_it():\n{indent(body, '    ')}"})


CHECKS = {
    "assert": ("assert 1 == one()", True),
    "helper": ("helper(one())", True),
    "raises": ("with pytest.raises(ValueError):\n    one()", True),
    "both ways": ("if one():\n    assert 2\nelse:\n    helper(3)", True),
    "nothing": ("one()", False),
    "one way": ("if one():\n    assert 2", False),
    "except": ("try:\n    one()\nexcept ValueError:\n    assert 2", False),
}
LOOPS = {
    "unknown": ("for x in one():\n    assert x", True),
    "unknown items": ("for x in one().items():\n    helper(x)", True),
    "all": ("assert all(x for x in one())", True),
    "not any": ("assert not any(x for x in one())", True),
    "filtered": ("for x in [x for x in (1, 2) if x > 2]:\n    assert x", True),
    "short zip": ("for x in zip((1, 2), one()):\n    assert x", True),
    "assigned twice": ("xs = (1,)\nxs = one()\nfor x in xs:\n    assert x", True),
    "literal": ("for x in (1, 2):\n    assert x", False),
    "assigned": ("xs = [1]\nfor x in sorted(xs):\n    assert x", False),
    "range": ("for x in range(one(), one() + 5):\n    assert x", False),
    "strict zip": ("for x in zip((1, 2), one(), strict=True):\n    assert x", False),
    "vouched": ("xs = one()\nassert len(xs) == 2\nfor x in xs:\n    assert x", False),
    "its length": ("xs = one()\nassert xs\nfor i in range(len(xs)):\n    assert xs[i]", False),
    "a condition": ("xs = one()\nif xs:\n    for x in xs:\n        assert x", False),
    "counted": ("n = 0\nfor x in one():\n    n += 1\n    assert x\nassert n", False),
    "some": ("for x in some(one()):\n    assert x", False),
    "no check in it": ("for x in one():\n    print(x)", False),
}


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_a_check(name: str) -> None:
    body, is_one = CHECKS[name]
    found = vacuous.without_a_check(file(body))
    assert (found == set()) is is_one


@pytest.mark.parametrize("name", LOOPS)
def test_what_may_go_through_nothing(name: str) -> None:
    body, may_be_empty = LOOPS[name]
    assert bool(vacuous.loops(file(body))) is may_be_empty


def test_some() -> None:
    assert vacuous.some(iter("ab")) == ["a", "b"]
    with pytest.raises(AssertionError, match="nothing to check"):
        vacuous.some([])
