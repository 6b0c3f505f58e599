"""A recipe's scalars: DVC reads from the same file what we read, or they are refused."""

from __future__ import annotations

import math
import string
from random import Random
from typing import Any

import pytest
import yaml
from dvc.utils.serialize import parse_yaml  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.recipe.yaml.scalars import is_read_otherwise, scalar
from pipelines.recipe.yaml.tree import _Loader
from tests.vacuous import some

# Read differently by YAML 1.1 and 1.2, and by both of them and DVC.
REFUSED = (
    *("2024-01-01", "2024-02-30", "2024-1-1 1:02:03", "2024-01-01T00:00:00Z", "0001-01-01"),
    *("2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10 -5", "=", "<<"),
    *(".5e3", "+.5e03", "-.5E3", "._5", "._1e+3", "._", "+_1", "-_", "0x_", "-0b_", "0o__"),
    *("9" * 400, "!!int x", "!!int 1.0", "!!float 5", "!!bool yes", "!!null x", "!!map x"),
)
TAKEN = (
    *("on", "off", "yes", "no", "y", "12:30", "12:30:45", "190:20:30.15", "2024-1-1", "2024-01"),
    *("0o17", "017", "08", "0x1F", "0X1F", "0b11", "1_000", "_1", "1_", "1e3", "1e-3", "1E+2"),
    *(".5", ".5e+3", "0.5e3", "5.", ".inf", "-.INF", ".nan", "-.nan", "~", "", "nan", "<", "=="),
    *("'2024-01-01'", '"<<"', "!!str 2024-01-01", "!!str", "!!int 5", "!!float 1.5", "!!null ~"),
)


def node_of(text: str) -> yaml.ScalarNode:
    root = yaml.compose(f"key: {text}\n", Loader=_Loader)
    assert isinstance(root, yaml.MappingNode)
    node = root.value[0][1]
    assert isinstance(node, yaml.ScalarNode)
    return node


def is_dvcs(text: str) -> bool:
    """Whether DVC reads what we read."""
    ours = scalar(node_of(text))
    try:
        theirs: Any = parse_yaml(f"key: {text}\n", "recipe.yaml")["key"]
    except Exception:  # it fails in as many ways as there are tags
        return False
    if isinstance(ours, float) and isinstance(theirs, float) and math.isnan(ours):
        return math.isnan(theirs)
    return type(ours) is type(theirs) and bool(ours == theirs)


@pytest.mark.parametrize("text", REFUSED)
def test_what_dvc_reads_otherwise_is_refused(text: str) -> None:
    assert is_read_otherwise(node_of(text))
    assert not is_dvcs(text)


@pytest.mark.parametrize("text", TAKEN)
def test_what_dvc_reads_alike_is_taken(text: str) -> None:
    assert not is_read_otherwise(node_of(text))
    assert is_dvcs(text)


DIGITS = string.digits
# Some characters, and how many of them at least and at most, one after the other; and the same
# of what may follow. Of regular expressions, Hypothesis takes ten times as long as the test.
Parts = tuple[tuple[str, int, int], ...]
FORMS: tuple[tuple[Parts, Parts], ...] = (
    (
        (
            (f"-+.{DIGITS}=<~_{string.ascii_letters}", 1, 1),
            (f"-+.:_{DIGITS}eEbBoOxXacdfACDFtTzZ", 0, 12),
        ),
        (),
    ),
    (
        ((DIGITS, 4, 4), ("-", 1, 1), (DIGITS, 1, 2), ("-", 1, 1), (DIGITS, 1, 2)),
        (("Tt ", 1, 1), (f"{DIGITS}:.Z+-", 0, 12)),
    ),
    (
        (("-+", 0, 1), (f"._{DIGITS}", 1, 5)),
        (("eE", 1, 1), ("-+", 0, 1), (f"{DIGITS}_", 1, 3)),
    ),
)
TEXTS = 100  # of one seed


def drawn(random: Random) -> str:
    always, perhaps = random.choice(FORMS)
    parts = always + random.choice([(), perhaps])
    return "".join(
        "".join(random.choices(kind, k=random.randint(least, most))) for kind, least, most in parts
    )


@settings(max_examples=3000 // TEXTS, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_is_not_refused_is_read_alike(seed: int) -> None:
    random = Random(seed)
    for text in some(["1:2", *(drawn(random) for _ in range(TEXTS))]):
        try:
            node = node_of(text)
        except (yaml.YAMLError, AssertionError):
            continue  # no scalar
        assert is_dvcs(text) is not is_read_otherwise(node), text
