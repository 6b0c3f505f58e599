"""Writes a *.quantization.cfg as ruamel does for the SDK, byte for byte, in a tenth of the time.

What is provably plain is written here, the rest is ruamel's (tests/test_parameters_writer.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from quant.simulation.parameters_text import HEAD, NO_LAYERS, NO_NUMBER, NO_TEXT, TEXT

_LONGEST = 100  # of a key that stands in one line with its colon
_PLAIN_NAME = re.compile(f"{TEXT}|{NO_NUMBER}", re.ASCII)
_DIGITS = re.compile(r"\d+", re.ASCII)  # a number, so that it stands in quotes
_KEY = re.compile(r"[a-z]+(?:_[a-z]+)*", re.ASCII)
_WORD = re.compile(r"[a-z]\w*", re.ASCII)


class _Other(Exception):
    """Something in it is not as the SDK has it."""


def written(data: Any) -> str | None:
    """data: of the whole file. None where it asks for layers, or holds what the SDK does not."""
    if type(data) is not dict or list(data) != ["custom_quantize_layers", "quantize_parameters"]:
        return None
    layers, tensors = data.values()
    if type(layers) is not dict or layers or type(tensors) is not dict or not tensors:
        return None
    try:
        return NO_LAYERS + HEAD + "".join(_lines(tensors))
    except _Other:
        return None


def _lines(tensors: Mapping[Any, Any]) -> Iterator[str]:
    anchors = _anchors(tensors)
    seen: set[int] = set()
    for name, fields in tensors.items():
        yield f"    {_name(name)}:\n"
        for key, value in fields.items():
            if type(key) is not str or not _KEY.fullmatch(key) or key in NO_TEXT:
                raise _Other
            if type(value) is str:
                if not _WORD.fullmatch(value) or value in NO_TEXT or len(value) > _LONGEST:
                    raise _Other
                yield f"        {key}: {value}\n"
            elif not value:
                yield f"        {key}: []\n"
            elif id(value) in seen:
                yield f"        {key}: *{anchors[id(value)]}\n"
            else:
                seen.add(id(value))
                anchor = anchors.get(id(value))
                yield f"        {key}: &{anchor}\n" if anchor else f"        {key}:\n"
                yield "".join([f"        -   {_number(one)}\n" for one in value])


def _anchors(tensors: Mapping[Any, Any]) -> dict[int, str]:
    """By the id of a list that stands in two places or more: numbered as they come again."""
    seen: set[int] = set()
    anchors: dict[int, str] = {}
    for fields in tensors.values():
        if type(fields) is not dict or not fields or id(fields) in seen:
            raise _Other
        seen.add(id(fields))
        for value in fields.values():
            if type(value) is str:
                continue
            if type(value) is not list or (not value and id(value) in seen):
                raise _Other
            if id(value) in seen and id(value) not in anchors:
                anchors[id(value)] = f"id{len(anchors) + 1:03}"
            seen.add(id(value))
    return anchors


def _name(name: Any) -> str:
    if type(name) is not str or len(name) > _LONGEST or name.lower() in NO_TEXT:
        raise _Other
    if _DIGITS.fullmatch(name):
        return f"'{name}'"
    if _PLAIN_NAME.fullmatch(name):
        return name
    raise _Other


def _number(number: Any) -> str:
    if type(number) is int or (type(number) is float and math.isfinite(number)):
        return repr(number)
    raise _Other
