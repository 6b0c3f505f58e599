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
_WIDTH = 80
_LONGEST_KEY = 100  # a key of more than 128 characters is written as `? key`
# Letters first, or a path's dots; no blank, and nothing that means something to YAML.
_PLAIN = re.compile(r"(?:[A-Za-z]|\.{1,2}/)(?:[A-Za-z0-9_./@+=-]|:(?=[A-Za-z0-9_./@+=-]))*")
# An MD5 that starts with a digit and holds one of these is no number (0b11.., 1e5) to anybody.
_HASH = re.compile(r"[0-9][0-9a-f]*[acdf][0-9a-f]*(?:\.dir)?")
# Words that some version of YAML reads as something else than text.
_WORDS = frozenset(["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"])
_STAGE = re.compile(r"^  (?=[^ \n])", re.M)
_KEY = re.compile(r"([A-Za-z0-9_.@/+-]+):\n")
_ANCHOR = re.compile(r"[&*]id\d{3}")


class _NotPlain(Exception):
    """Only ruamel knows how this is written."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads scalars by YAML 1.2, as ruamel does: `on`, `yes` and `12:30` are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


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
    """Stages by name. Raises ValueError where this is not the text of a dvc.lock."""
    try:
        stages = yaml.load(text, _Loader)["stages"] or {}
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(str(error).splitlines()[0]) from None
    if not isinstance(stages, dict):
        raise ValueError("`stages` is no mapping")
    return stages


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
        return _mapping(data, 0)
    except _NotPlain:
        return by_ruamel(data)


def dump_stage(name: str, stage: Mapping[str, Any]) -> str:
    """A stage as it stands in dvc.lock: `  NAME:` and what is below it."""
    try:
        return f"  {_key(name)}:\n{_mapping(stage, 4)}"
    except _NotPlain:
        return by_ruamel({"stages": {name: stage}}).removeprefix("stages:\n")


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


def _mapping(data: Mapping[str, Any], indent: int) -> str:
    if not data:
        raise _NotPlain
    blanks = " " * indent
    return "".join(
        [f"{blanks}{_key(key)}:{_value(key, item, indent)}" for key, item in data.items()]
    )


def _value(key: str, item: Any, indent: int) -> str:
    """What follows `key:`, up to the line's end or the end of what is nested."""
    if isinstance(item, dict):
        return "\n" + _mapping(item, indent + 2) if item else " {}\n"
    if isinstance(item, list):
        return "\n" + _sequence(item, indent) if item else " []\n"
    return f" {_scalar(item, indent + len(key) + 2)}\n"


def _sequence(items: list[Any], indent: int) -> str:
    lines = []
    for item in items:
        if isinstance(item, dict):
            text = _mapping(item, indent + 2)[indent + 2 :] if item else "{}\n"
        elif isinstance(item, list):
            text = _sequence(item, indent + 2)[indent + 2 :] if item else "[]\n"
        else:
            text = f"{_scalar(item, indent + 2)}\n"
        lines.append(f"{' ' * indent}- {text}")
    return "".join(lines)


@lru_cache(4096)  # a few words, over and over
def _key(key: Any) -> str:
    if type(key) is not str or len(key) > _LONGEST_KEY or not _is_plain(key):
        raise _NotPlain
    return key


def _scalar(value: Any, column: int) -> str:
    kind = type(value)
    if kind is str:
        # ruamel moves what ends after the width to lines of its own.
        if column + len(value) > _WIDTH:
            raise _NotPlain
        if _HASH.fullmatch(value) or all(map(_is_plain, value.split(" "))):
            return str(value)
        raise _NotPlain
    if kind is bool:
        return "true" if value else "false"
    if kind is int or (kind is float and math.isfinite(value)):
        return repr(value)
    raise _NotPlain


@lru_cache(4096)
def _is_plain(text: str) -> bool:
    return bool(_PLAIN.fullmatch(text)) and text.lower() not in _WORDS


def _unshared(value: Any) -> Any:
    """A copy in which nothing stands twice: ruamel would write the second as an alias."""
    if isinstance(value, Mapping):
        return {key: _unshared(item) for key, item in value.items()}
    return [_unshared(item) for item in value] if isinstance(value, (list, tuple)) else value
