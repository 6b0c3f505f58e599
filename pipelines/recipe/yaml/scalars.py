"""Scalars as YAML 1.2 reads them, and which of them DVC reads as something else.

DVC reads the same recipe for `dvc params`, `dvc repro` and its run-cache, with ruamel.yaml.
"""

from __future__ import annotations

import re
from typing import Any

from yaml.nodes import ScalarNode

STR = "tag:yaml.org,2002:str"
PLAIN = ""  # the tag that yaml_tree gives to a scalar without quotes and without a tag of its own
NULL = {"", "~", "null", "Null", "NULL"}
_TYPES = {  # of a tag that is written out; no scalar is a mapping or a list
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:bool": bool,
    "tag:yaml.org,2002:null": type(None),
    "tag:yaml.org,2002:map": dict,
    "tag:yaml.org,2002:seq": list,
}
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER_STARTS = frozenset("+-.0123456789")
_MAX_DIGITS = 400
_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*")
_BASED = re.compile(r"[-+]?0(?:b_*[01][01_]*|o_*[0-7][0-7_]*|x_*[0-9a-fA-F][0-9a-fA-F_]*)")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
# Source: ruamel.yaml.resolver.implicit_resolvers of version 1.2, where it is not the core schema.
_OTHERWISE_STARTS = _NUMBER_STARTS | frozenset("=<")
_OTHERWISE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"  # a date
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?"
    r"(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?"
    r"|[-+]?\.[0-9][0-9_]*[eE][0-9]+"  # text to DVC, which wants a sign after the e here
    r"|[-+]?\._[0-9_]*(?:[eE][-+][0-9]+)?|[-+]_[0-9_]*|[-+]?0[box]_+"  # numbers to DVC, or an error
    r"|=|<<"
)


def scalar(node: ScalarNode) -> Any:
    """The scalar's value: text, int, float, bool or None."""
    text: str = node.value
    if node.tag == STR:
        return text
    if text in NULL:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    return _number(text) if text[0] in _NUMBER_STARTS else text


def is_read_otherwise(node: ScalarNode) -> bool:
    """Whether DVC reads something else, or nothing at all, where `scalar` reads its value."""
    text = node.value
    if node.tag == STR:
        return False
    if node.tag in _TYPES and type(scalar(node)) is not _TYPES[node.tag]:
        return True
    if not text or text[0] not in _OTHERWISE_STARTS:
        return False
    return bool(_OTHERWISE.fullmatch(text)) or _is_too_long(text)


def _is_too_long(text: str) -> bool:
    return len(text) >= _MAX_DIGITS and bool(_INTEGER.fullmatch(text))


def _number(text: str) -> int | float | str:
    """The number that `text` spells, or `text` itself."""
    digits = text.replace("_", "")
    if _INTEGER.fullmatch(text):
        return text if _is_too_long(text) else int(digits)
    if _BASED.fullmatch(text):
        return int(digits, 0)
    if _FLOAT.fullmatch(text):
        return float(re.sub(r"\.(?=[inIN])", "", digits))
    return text
