"""The text of dvc.lock: stages written as DVC writes them, old stages kept as they stand.

DVC writes with ruamel, which takes 15 ms a model. What is provably plain is written here, the rest
by ruamel: the two are equal to the byte (tests/test_lock.py, random stages).
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import yaml

HEAD = "schema: '2.0'\nstages:\n"
_DEPTH = 4  # of a stage in dvc.lock
_WIDTH = 80
_LONGEST_KEY = 100  # a key of more than 128 characters is written as `? key`
# Words that some version of YAML reads as something else than text.
_NOT_TEXT = r"(?i:true|false|null|yes|no|on|off|y|n|nan|inf)"
# Letters first, or a path's dots; no blank, and nothing that means something to YAML.
_INSIDE = r"[A-Za-z0-9_./@+=-]"
_WORD = rf"(?!{_NOT_TEXT}(?:[ ]|\Z))(?:[A-Za-z]|\.{{1,2}}/){_INSIDE}*(?::{_INSIDE}+)*"
_PLAIN_WORD = re.compile(_WORD)
# An MD5 that starts with a digit and holds one of these is no number (0b11.., 1e5) to anybody.
_PLAIN_TEXT = re.compile(rf"{_WORD}(?:[ ]{_WORD})*|[0-9][0-9be]*[acdf][0-9a-f]*(?:\.dir)?")
_STAGE = re.compile(r"^  (?=[^ \n])", re.M)
_KEY = re.compile(r"([A-Za-z0-9_.@/+-]+):\n")
_ANCHOR = re.compile(r"[&*]id\d{3}")


class _NotPlain(Exception):
    """Only ruamel knows how this is written."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads scalars by YAML 1.2, as ruamel does: `on`, `yes` and `12:30` are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        if len(found) != len(node.value):  # as git merges two branches that add the same stage
            raise yaml.YAMLError("a key stands twice")
        return found


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


# Source: ruamel.yaml.resolver.implicit_resolvers of version 1.2.
_resolve("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF")
_resolve(
    "float",
    r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
    "-+0123456789.",
)
_resolve("int", r"^[-+]?(?:0b[0-1_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)$", "-+0123456789")
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), [*"~nN", ""]
)


def _construct_int(loader: Any, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    return int(text, 0 if re.match(r"[-+]?0[box]", text) else 10)


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def load(text: str) -> dict[str, Any]:
    """Stages by name. Raises ValueError where DVC would refuse this as the text of a dvc.lock."""
    try:
        data = load_document(text)
        schema, stages = data.get("schema"), data["stages"] or {}
    except KeyError as error:
        raise ValueError(str(error)) from None
    if schema != "2.0" or data.keys() != {"schema", "stages"}:
        raise ValueError(f"its schema is {schema!r}, not '2.0'")
    if not isinstance(stages, dict):
        raise ValueError("`stages` is no mapping")
    for name, stage in stages.items():
        if not isinstance(stage, dict):
            raise ValueError(f"stage `{name}` is no mapping")
    return stages


def load_document(text: str) -> dict[Any, Any]:
    """A mapping, as DVC reads it. Raises ValueError where it is none."""
    try:
        data = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    if not isinstance(data, dict):
        raise ValueError("no mapping")
    return data


def by_ruamel(data: Mapping[str, Any]) -> str:
    """YAML as DVC writes it.

    Source: dvc.utils.serialize._yaml, which dumps with ruamel's round-trip emitter.
    """
    from ruamel.yaml import YAML  # 60 ms to import, and hardly ever needed

    emitter, stream = YAML(), io.StringIO()
    emitter.default_flow_style = False
    emitter.dump(_unshared(data), stream)
    return stream.getvalue()


def dump(data: Mapping[str, Any]) -> str:
    """A whole document, the same as `by_ruamel`."""
    try:
        return _text(_lines(data, 0))
    except _NotPlain:
        return by_ruamel(data)


def dump_stage(name: str, stage: Mapping[str, Any]) -> str:
    """A stage as it stands in dvc.lock: `  NAME:` and what is below it."""
    try:
        return f"  {_key(name)}:\n{_text(_lines(stage, _DEPTH))}"
    except _NotPlain:
        return by_ruamel({"stages": {name: stage}}).removeprefix("stages:\n")


def dump_both(name: str, stage: Mapping[str, Any]) -> tuple[str, str]:
    """A stage as it stands in dvc.lock, and as a whole document: `dump_stage` and `dump`."""
    try:
        head, lines = f"  {_key(name)}:\n", _lines(stage, _DEPTH)
    except _NotPlain:
        return dump_stage(name, stage), dump(stage)
    return head + _text(lines), _text(line[_DEPTH:] for line in lines)


def split(text: str) -> dict[str, str]:
    """Name -> the stage's own text. Raises ValueError where this is not a whole dvc.lock."""
    stages = load(text)
    # An anchor may be one stage's and its alias another's, so these are written anew.
    if text.startswith(HEAD) and not _ANCHOR.search(text):
        parts = [f"  {part}" for part in _STAGE.split(text[len(HEAD) :])[1:]]
        found = {m[1]: part for part in parts if (m := _KEY.match(part, 2))}
        if found.keys() == stages.keys() and "".join([HEAD, *found.values()]) == text:
            return found
    return {name: dump_stage(name, stage) for name, stage in stages.items()}


def join(stages: Iterable[str]) -> str:
    """A whole dvc.lock of stages' texts."""
    text = "".join(stages)
    return HEAD + text if text else HEAD.replace("stages:", "stages: {}")


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def _lines(data: Mapping[str, Any], indent: int) -> list[str]:
    """The lines of a block mapping. Raises _NotPlain."""
    if not data:
        raise _NotPlain
    lines: list[str] = []
    _add_mapping(lines, data, indent, " " * indent)
    return lines


def _add_mapping(lines: list[str], data: Mapping[str, Any], indent: int, start: str) -> None:
    """start: what the first line begins with: blanks, or `- ` at their end."""
    for key, item in data.items():
        head = f"{start}{_key(key)}:"
        start = " " * indent
        kind = type(item)
        if kind is dict and item:
            lines.append(head)
            _add_mapping(lines, item, indent + 2, f"{start}  ")
        elif kind is list and item:
            lines.append(head)
            _add_sequence(lines, item, indent, start)
        else:
            lines.append(f"{head} {_scalar(item, indent + len(key) + 2)}")


def _add_sequence(lines: list[str], items: list[Any], indent: int, start: str) -> None:
    for item in items:
        head = f"{start}- "
        start = " " * indent
        kind = type(item)
        if kind is dict and item:
            _add_mapping(lines, item, indent + 2, head)
        elif kind is list and item:
            _add_sequence(lines, item, indent + 2, head)
        else:
            lines.append(f"{head}{_scalar(item, indent + 2)}")


@lru_cache(4096)  # a few words, over and over
def _key(key: Any) -> str:
    if type(key) is str and len(key) <= _LONGEST_KEY and _PLAIN_WORD.fullmatch(key):
        return key
    raise _NotPlain


def _scalar(value: Any, column: int) -> str:
    """A scalar, or a list or mapping that is empty."""
    text = _short(value)
    if column + len(text) > _WIDTH:  # ruamel moves what ends after it to a line of its own
        raise _NotPlain
    return text


def _short(value: Any) -> str:
    """A scalar's text where there is room for it."""
    kind = type(value)
    if kind is str:
        if _PLAIN_TEXT.fullmatch(value):
            return str(value)
    elif kind is int or (kind is float and math.isfinite(value)):
        return repr(value)
    elif kind is bool:
        return "true" if value else "false"
    elif kind in (dict, list) and not value:
        return "{}" if kind is dict else "[]"
    raise _NotPlain


def _unshared(value: Any) -> Any:
    """A copy in which nothing stands twice: ruamel would write the second as an alias."""
    if isinstance(value, Mapping):
        return {key: _unshared(item) for key, item in value.items()}
    return [_unshared(item) for item in value] if isinstance(value, (list, tuple)) else value
