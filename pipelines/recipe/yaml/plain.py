"""Reads YAML of the plainest form as PyYAML does, in a tenth of the time.

Block mappings and lists of scalars that mean the same to everybody, two blanks a level.
"""

from __future__ import annotations

import re
from typing import Any

# Words that some version of YAML reads as something else than text.
_NOT_TEXT = r"(?!(?i:true|false|null|yes|no|on|off|y|n|nan|inf)(?:[^\w./-]|\Z))"
_NAME = rf"{_NOT_TEXT}[A-Za-z_][A-Za-z0-9_./-]*"
# Digits first, with a letter that no number of YAML 1.1 has there (0b11, 0x1f, 1.5e3, 1:30).
_DIGEST = r"[1-9][0-9]*[a-z][0-9a-z]*"
_LINE = re.compile(
    rf"( *)(?:({_NAME}):(?: (?P<value>\S+))?|- (?P<item>\S+))", re.ASCII
)  # a mapping's entry, or a list's
_SCALAR = re.compile(
    rf"(?P<text>{_NAME}|{_DIGEST})|(?P<int>0|[1-9][0-9]*)|(?P<float>[0-9]+\.[0-9]+)"
    r"|(?P<bool>true|false)",
    re.ASCII,
)


class NotPlain(Exception):
    """Only a reader of all of YAML knows what it means."""


def load(text: str) -> dict[str, Any]:
    """Raises NotPlain."""
    levels: list[dict[str, Any]] = [{}]  # the mapping of each indent that a line may have now
    empty = ""  # the last mapping's last key, while nothing has told its value
    items: list[Any] | None = None  # the list that goes on
    for line in text.split("\n"):
        if not line or (line[0] == "#" and line.isascii() and line.isprintable()):
            continue
        if (told := _LINE.fullmatch(line)) is None:
            raise NotPlain(line)
        indent, name, value, item = told.groups()
        depth, odd = divmod(len(indent), 2)
        if odd:
            raise NotPlain(line)
        if item is not None:
            if depth != len(levels) - 1 or not (empty or items):
                raise NotPlain(line)
            if empty:
                levels[-1][empty] = items = []
                empty = ""
            assert items is not None
            items.append(_scalar(item))
            continue
        if empty:
            if depth != len(levels):
                raise NotPlain(line)
            inner: dict[str, Any] = {}
            levels[-1][empty] = inner
            levels.append(inner)
        elif depth >= len(levels):
            raise NotPlain(line)
        del levels[depth + 1 :]
        items, empty = None, ""
        if name in levels[-1]:
            raise NotPlain(line)
        if value is None:
            empty = name
        else:
            levels[-1][name] = _scalar(value)
    if empty or not levels[0]:
        raise NotPlain(text)
    return levels[0]


def _scalar(word: str) -> Any:
    if (told := _SCALAR.fullmatch(word)) is None:
        raise NotPlain(word)
    kind = told.lastgroup
    if kind == "text":
        return word
    if kind == "bool":
        return word == "true"
    return int(word) if kind == "int" else float(word)
