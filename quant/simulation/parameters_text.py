"""The text of a *.quantization.cfg as the SDK writes it.

ruamel reads it in 60 microseconds a line, and a tensor has 19 lines. What is provably plain is read
here, the rest by ruamel: the two are equal (tests/test_parameters_text.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Sections = dict[str, dict[str, Any]]

NO_LAYERS = "custom_quantize_layers: {}\n"
HEAD = "quantize_parameters:\n"
TEXT = r"[A-Za-z_/][\w./#-]*(?::[\w./#-]+)*"
NO_NUMBER = r"\d(?=[\w./#-]*[g-np-su-wyz/])[\w./#-]*"  # by a letter that is in none, nor in a date
_NAME = re.compile(rf" {{4}}(?:({TEXT}|{NO_NUMBER})|'([^'\n]+)'):", re.ASCII)
# A list that two fields share is written once: `min: &id001`, `max: *id001`.
_FIELD = re.compile(
    r" {8}([a-z]+(?:_[a-z]+)*):(?: (?:([a-z]\w*)|(\[\])|&(id\d+)|\*(id\d+)))?", re.ASCII
)
_WHOLE = r"-?(?:0|[1-9]\d*)"
_ITEM = re.compile(rf" {{8}}-   ({_WHOLE})(\.\d+)?(e[+-]?\d+)?", re.ASCII)
NO_TEXT = ("true", "false", "null")  # in YAML 1.2


def sections(text: str) -> Mapping[str, Mapping[str, Any]]:
    """Tensor name -> its fields."""
    plain = _plain(text)
    return _by_ruamel(text) if plain is None else plain


def document(text: str) -> dict[str, Any] | None:
    """All of it; None where it asks for layers, or where a line is any other than the SDK's."""
    plain = _plain(text) if text.startswith(f"{NO_LAYERS}{HEAD}") else None
    return None if plain is None else {"custom_quantize_layers": {}, "quantize_parameters": plain}


def _by_ruamel(text: str) -> Mapping[str, Mapping[str, Any]]:
    from ruamel.yaml import YAML

    held = YAML(typ="safe", pure=True).load(text)
    found: Mapping[str, Mapping[str, Any]] = held["quantize_parameters"]
    return found


def _plain(text: str) -> Sections | None:
    """None where a line is any other than the SDK's."""
    before, head, body = text.partition(HEAD)
    if not head or (before and not before.endswith("\n")) or not body.endswith("\n"):
        return None
    reader = _Reader()
    is_plain = all(map(reader.takes, body[:-1].split("\n")))
    return reader.found if is_plain and reader.is_whole() else None


class _Reader:
    def __init__(self) -> None:
        self.found: Sections = {}
        self._fields: dict[str, Any] = {}
        self._items: list[Any] | None = None  # of a field whose value stands in the lines after it
        self._shared: dict[str, list[Any]] = {}

    def takes(self, line: str) -> bool:
        """Whether a line is the SDK's."""
        if self._items is not None and (item := _ITEM.fullmatch(line)):
            is_whole = item[2] is None and item[3] is None
            self._items.append(int(item[1]) if is_whole else float(line[12:]))
            return True
        if not self._has_items():
            return False
        self._items = None
        if name := _NAME.fullmatch(line):
            return self._begins(name[1] or name[2], is_quoted=name[1] is None)
        field = _FIELD.fullmatch(line)
        return field is not None and bool(self.found) and self._has(*field.groups())

    def is_whole(self) -> bool:
        return self._has_items() and all(self.found.values())

    def _has_items(self) -> bool:
        return self._items is None or len(self._items) > 0

    def _begins(self, name: str, *, is_quoted: bool) -> bool:
        if name in self.found or (not is_quoted and name.lower() in NO_TEXT):
            return False
        self.found[name] = self._fields = {}
        return True

    def _has(
        self,
        key: str,
        told: str | None,
        is_empty: str | None,
        anchor: str | None,
        alias: str | None,
    ) -> bool:
        if key in self._fields or key in NO_TEXT or told in NO_TEXT or anchor in self._shared:
            return False
        if alias and alias not in self._shared:
            return False
        value: Any = told or (self._shared[alias] if alias else [])
        if not (told or is_empty or alias):
            self._items = value
        if anchor:
            self._shared[anchor] = value
        self._fields[key] = value
        return True
