"""The quantization.cfg that is read here is what ruamel reads, or is left to it."""

from __future__ import annotations

import random

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from quant.simulation.parameters_text import _plain, sections

HEAD = 'custom_quantize_layers:\n    "c1": float16\nquantize_parameters:\n'
TENSOR = """\
    {name}:
        qtype: asym
        qmethod: layer
        dtype: int8
        min:
        -   {low}
        max:
        -   4.014598846435547
        scale:{scale}
        zero_point:
        -   -128
        ori_min:
        -   -3.5e-07
        ori_max:
        -   1e+3
"""
# Names and numbers as the SDK writes them, and some that only YAML's own rules can tell.
NAMES = (
    *("c1", "/0/Conv_output_0", "a:b", "_x", "a-b.c", "a#b", "no", "60_mm", "0/x#1", "459-rs"),
    *("'459'", "'true'", "'a b'"),
)
OTHER_NAMES = (
    *("459", "0x1", "1_0", "2001-01-01", "true", "Null", "a: b", "a b", "a #b", '"c1"', "é"),
    *("- a", "1e3", "'it''s'", ".nan"),
)
NUMBERS = (
    *("0", "-0", "7", "-12.5", "0.0", "1e-05", "2.5e+30", "0.10", "1e400"),
    "123456789012345678901234567890",
)
OTHER_NUMBERS = (
    *("007", ".5", "5.", "1_000", "0x1f", "0o7", "+1", ".inf", "nan", "1E5", "-  3", "[1]"),
)
LIST = "\n        -   0.5"
ANCHOR = " &id001" + LIST + "\n        other: *id001"
SCALES = (" []", LIST, ANCHOR, 2 * LIST, " none")
OTHER_SCALES = (" &id001" + LIST + "\n        other: *id002", " 0.5", "", " [0.5]")
PIECES = ("", " ", "\n", ":", "-", "'", "#", "e", "1", "\t", "[]", "    ", "null")


def by_ruamel(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)["quantize_parameters"]


def tensor(name: str = "c2", low: str = "0.0", scale: str = " []") -> str:
    return TENSOR.format(name=name, low=low, scale=scale)


def same(text: str) -> bool:
    """Whether it is read here; then it is ruamel's, types and signs of zero too."""
    plain = _plain(text)
    if plain is not None:
        assert repr(plain) == repr(by_ruamel(text))
    return plain is not None


@pytest.mark.parametrize("name", NAMES + OTHER_NAMES)
def test_names(name: str) -> None:
    assert same(HEAD + tensor("c0") + tensor(name)) == (name in NAMES)


@pytest.mark.parametrize("number", NUMBERS + OTHER_NUMBERS)
def test_numbers(number: str) -> None:
    assert same(HEAD + tensor(low=number)) == (number in NUMBERS)


@pytest.mark.parametrize("scale", SCALES + OTHER_SCALES)
def test_lists(scale: str) -> None:
    assert same(HEAD + tensor(scale=scale)) == (scale in SCALES)


def test_a_text_that_was_changed_anywhere() -> None:
    read = [seed for seed in range(1000) if same(changed(seed))]
    assert 10 < len(read) < 500, "both ways are gone"


def changed(seed: int) -> str:
    draw = random.Random(seed)
    text = HEAD + tensor("c0") + tensor("/1/Add", scale=SCALES[1])
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(HEAD) - len("quantize_parameters:\n"), len(text))
        piece = draw.choice(PIECES)
        text = text[:at] + piece + text[at + draw.randint(0, 2) :]
    return text


def test_what_is_not_read_here_is_ruamels() -> None:
    assert sections(HEAD + tensor('"c1"'))["c1"]["qtype"] == "asym"
    with pytest.raises(YAMLError):
        sections(HEAD + tensor("c1") + tensor("c1"))
