"""The quantization.cfg that is written here is what ruamel writes, or is left to it."""

from __future__ import annotations

import copy
import io
import math
import random
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipelines.backends.rknn.sdk.instead.parameters_writer import written
from quant.simulation.parameters_text import document

NAMES = ("c1", "/0/Conv_output_0", "a:b", "a-b.c", "a#b", "no", "60_mm", "459-rs", "459", "007")
OTHER_NAMES = (
    *("", "true", "Null", "a b", "a: b", "- a", "'q'", "é", "0x1f", "1_0", "1e3", "2001-01-01"),
    *(".nan", "~", "<<", "long" * 40, 3),
)
NUMBERS = (0, -128, 2**70, 0.0, -0.0, 0.1, 1e-5, -3.5e-07, 1e16, 1e22, 2.5e30)
OTHER_NUMBERS = (math.nan, math.inf, True, None, "1", [1])
WORDS, OTHER_WORDS = ("asym", "int8", "no"), ("null", "", "a b", "8", None, 3)
SHARED = [0.5, 2.0]
TOLD = {"qtype": "asym", "min": [-1.5], "max": [2.0], "scale": [], "zero_point": [-128]}


def by_ruamel(data: Any) -> str:
    yaml = YAML()
    yaml.indent(mapping=4, sequence=4)  # as the SDK does
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()


def whole(tensors: Any, layers: Any = None) -> dict[str, Any]:
    return {"custom_quantize_layers": layers or {}, "quantize_parameters": tensors}


def same(data: Any) -> bool:
    """Whether it is written here; then as ruamel writes it."""
    text = written(data)
    if text is not None:
        assert text == by_ruamel(data)
        assert repr(document(text)) == repr(data)
    return text is not None


@pytest.mark.parametrize("name", NAMES + OTHER_NAMES)
def test_names(name: Any) -> None:
    assert same(whole({"c0": TOLD, name: copy.deepcopy(TOLD)})) == (name in NAMES)


@pytest.mark.parametrize("number", NUMBERS + OTHER_NUMBERS, ids=repr)
def test_numbers(number: Any) -> None:
    is_plain = not isinstance(number, bool) and number in NUMBERS
    assert same(whole({"c0": {**TOLD, "min": [0.5, number]}})) == is_plain


@pytest.mark.parametrize("word", WORDS + OTHER_WORDS, ids=repr)
def test_words(word: Any) -> None:
    assert same(whole({"c0": {**TOLD, "qtype": word}})) == (word in WORDS)


def test_a_list_in_several_places_is_written_once() -> None:
    shared = {**TOLD, "min": SHARED, "max": SHARED}
    assert same(whole({"c0": shared, "c1": {**TOLD, "ori_min": [1.0], "scale": SHARED}}))
    one, other = [1.0], [2.0]
    crossed = whole({"c0": {"min": one, "max": other}, "c1": {"min": other, "max": one}})
    assert same(crossed)
    assert "max: &id001" in by_ruamel(crossed), "numbered as they come again"
    nothing: list[float] = []
    assert not same(whole({"c0": {**TOLD, "min": nothing, "max": nothing}}))
    assert not same(whole({"c0": TOLD, "c1": TOLD}))


@pytest.mark.parametrize(
    "data",
    [
        whole({}),
        whole({"c0": {}}),
        whole({"c0": TOLD}, {"c0": "float16"}),
        whole({"c0": (1.0,)}),
        {"quantize_parameters": {"c0": TOLD}},
        [],
    ],
    ids=repr,
)
def test_what_is_not_the_sdks_is_left_to_ruamel(data: Any) -> None:
    assert not same(data)


def test_random_ones() -> None:
    assert 50 < sum(same(drawn(seed)) for seed in range(400)) < 400, "both ways are gone"


def drawn(seed: int) -> dict[str, Any]:
    draw = random.Random(seed)

    def numbers() -> list[Any]:
        return [draw.choice(NUMBERS) for _ in range(draw.randint(0, 3))]

    shared = [numbers(), numbers()]
    names = [draw.choice((*NAMES, *NAMES, *OTHER_NAMES)) for _ in range(draw.randint(1, 4))]
    keys = ("min", "max", "scale", "zero_point", "ori_min")
    return whole(
        {
            name: {"qtype": "asym"}
            | {key: draw.choice((numbers(), numbers(), numbers(), *shared)) for key in keys}
            for name in names
        }
    )
