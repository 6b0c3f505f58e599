"""Kinds of values that are one word: text, numbers, flags, choices, paths."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from yaml.nodes import Node, ScalarNode

from pipelines.files.where import did_you_mean
from pipelines.recipe.yaml.reading import Kind, Reader
from pipelines.recipe.yaml.scalars import scalar
from pipelines.recipe.yaml.tree import describe

YAML_11_FLAGS = {"yes": True, "on": True, "no": False, "off": False}


@dataclass(frozen=True)
class Text(Kind):
    """Text. A number or a flag must be quoted."""

    at_most: int | None = None
    example: str = "text"

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        value = scalar(node) if isinstance(node, ScalarNode) else None
        if isinstance(value, (int, float)):
            what = f"`{label}` must be text; {describe(node)} reads as {_noun(value)}"
            return reader.refuse(node, what, f'put it in quotes: "{node.value}"')
        if not isinstance(value, str):
            return reader.wants(node, label, self)
        if self.at_most is not None and len(value) > self.at_most:
            what = f"`{label}` has {len(value)} characters"
            return reader.refuse(node, what, f"write at most {self.at_most}")
        return value

    def words(self) -> str:
        limit = f" of at most {self.at_most} characters" if self.at_most else ""
        return f"{self.example}{limit}"

    def schema(self) -> dict[str, Any]:
        limit = {"maxLength": self.at_most} if self.at_most else {}
        return {"type": "string", **limit}


def _noun(value: Any) -> str:
    return "a flag" if isinstance(value, bool) else "a number"


@dataclass(frozen=True)
class Name(Kind):
    """The name of a tensor or an input; `459` is one too, as torch's exporter makes them."""

    noun: str = "a name"

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        if not isinstance(node, ScalarNode) or not node.value or scalar(node) is None:
            return reader.wants(node, label, self)
        return node.value

    def words(self) -> str:
        return self.noun

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean"]}


@dataclass(frozen=True)
class Integer(Kind):
    low: int
    high: int | None = None

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        value = scalar(node) if isinstance(node, ScalarNode) else None
        if not isinstance(value, int) or isinstance(value, bool):
            return _not_a_number(node, label, reader, self)
        if re.match(r"[-+]?0[0-9]", node.value):
            octal = re.sub(r"^([-+]?)0+", r"\1", node.value)
            what = f"`{label}` is `{node.value}`, which YAML 1.1 and 1.2 read as different numbers"
            return reader.refuse(node, what, f"write {octal}, or 0o{octal} for an octal number")
        if value < self.low or (self.high is not None and value > self.high):
            return reader.refuse(node, f"`{label}` can't be {value}", f"write {self.words()}")
        return value

    def words(self) -> str:
        if self.high is None:
            return f"a whole number, {self.low} or more"
        return f"a whole number from {self.low} to {self.high}"

    def schema(self) -> dict[str, Any]:
        high = {} if self.high is None else {"maximum": self.high}
        return {"type": "integer", "minimum": self.low, **high}


@dataclass(frozen=True)
class Number(Kind):
    """A finite number. low_open: the lowest value itself is refused."""

    low: float | None = None
    high: float | None = None
    low_open: bool = False
    nonzero: bool = False

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        value = scalar(node) if isinstance(node, ScalarNode) else None
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return _not_a_number(node, label, reader, self)
        if not math.isfinite(value) or not self._fits(value):
            return reader.refuse(node, f"`{label}` can't be {node.value}", f"write {self.words()}")
        return value

    def _fits(self, value: float) -> bool:
        if self.low is not None and (value < self.low or (self.low_open and value == self.low)):
            return False
        if self.high is not None and value > self.high:
            return False
        return value != 0 or not self.nonzero

    def words(self) -> str:
        if self.low is not None and self.high is not None:
            return f"a number from {self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"a number above {self.low:g}" if self.low_open else "a number, 0 or more"
        return "a number other than 0" if self.nonzero else "a number"

    def schema(self) -> dict[str, Any]:
        low = "exclusiveMinimum" if self.low_open else "minimum"
        return {
            "type": "number",
            **({} if self.low is None else {low: self.low}),
            **({} if self.high is None else {"maximum": self.high}),
            **({"not": {"const": 0}} if self.nonzero else {}),
        }


@dataclass(frozen=True)
class Scalar(Kind):
    """A finite number, or true or false."""

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        value = scalar(node) if isinstance(node, ScalarNode) else None
        return value if isinstance(value, bool) else Number().read(node, label, reader)

    def words(self) -> str:
        return "a number, true or false"

    def schema(self) -> dict[str, Any]:
        return {"type": ["number", "boolean"]}


def _not_a_number(node: Node, label: str, reader: Reader, kind: Kind) -> Any:
    """Refuse what is no number: "5" in quotes is text, and that is said so."""
    if isinstance(node, ScalarNode) and isinstance(scalar(node), str):
        plain = scalar(ScalarNode("", node.value))
        if isinstance(plain, (int, float)) and not isinstance(plain, bool):
            what = f"`{label}` is text, {describe(node)}"
            return reader.refuse(node, what, f"write {node.value} without quotes")
    return reader.wants(node, label, kind)


@dataclass(frozen=True)
class Flag(Kind):
    """true or false; YAML 1.1's yes, no, on and off are understood."""

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        value = scalar(node) if isinstance(node, ScalarNode) else None
        if isinstance(value, str):
            value = YAML_11_FLAGS.get(value.lower())
        return value if isinstance(value, bool) else reader.wants(node, label, self)

    def words(self) -> str:
        return "true or false"

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


Explain = Callable[[str], "tuple[str, str] | None"]


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words. explain: what to say of a wrong word that is met in the wild.

    is_any_case: a value of capitals, such as B16, may be written in small letters too.
    """

    noun: str
    values: tuple[str, ...]
    explain: Explain | None = None
    is_any_case: bool = False

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        value = node.value if isinstance(node, ScalarNode) else None
        read = value.upper() if self.is_any_case and value else value
        if read in self.values:
            return read
        if not value:
            return reader.wants(node, label, self)
        known = self.explain(value) if self.explain else None
        if known:
            return reader.refuse(node, *known)
        advice = did_you_mean(value, self.values, "known")
        return reader.refuse(node, f"no {self.noun} `{value}`", advice)

    def words(self) -> str:
        return ", ".join(self.values[:-1]) + " or " * (len(self.values) > 1) + self.values[-1]

    def schema(self) -> dict[str, Any]:
        small = [value.lower() for value in self.values] if self.is_any_case else []
        return {"type": "string", "enum": [*self.values, *small]}


@dataclass(frozen=True)
class PathTo(Kind):
    """A path that exists, relative to the model's folder and inside the project."""

    what: str = "file"  # file, folder, or file or folder
    suffixes: tuple[str, ...] = ()  # one of these; any where there are none
    function: bool = False  # `file.py:function`

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        value = scalar(node) if isinstance(node, ScalarNode) else None
        if not isinstance(value, str) or not value:
            return reader.wants(node, label, self)
        path, colon, function = value.rpartition(":") if self.function else (value, "", "")
        if self.function and not (colon and path and function.isidentifier()):
            what = f"`{label}` names no function: `{value}`"
            return reader.refuse(node, what, f"write {self.words()}")
        if self.suffixes and not path.endswith(self.suffixes):
            what = f"`{path}` is no {self._kind} file"
            return reader.refuse(node, what, f"write {self.words()}")
        problem = reader.paths.problem(path, self.what)
        return reader.refuse(node, *problem) if problem else value

    def words(self) -> str:
        if self.function:
            return "`FILE.py:FUNCTION`, the path from the model's folder"
        return f"the path of a {self._kind + ' ' if self.suffixes else ''}{self.what}"

    @property
    def _kind(self) -> str:
        *others, last = self.suffixes
        return f"{', '.join(others)} or {last}" if others else last

    def schema(self) -> dict[str, Any]:
        if self.function:
            return {"type": "string", "pattern": r"^[^/].*\.py:[A-Za-z_][A-Za-z_0-9]*$"}
        ends = "|".join(map(re.escape, self.suffixes))
        return {
            "type": "string",
            "pattern": rf"^[^/].*({ends})$" if len(self.suffixes) > 1 else rf"^[^/].*{ends}$",
        }


@dataclass(frozen=True)
class ChoiceOrFunction(Kind):
    """One of some names, or `FILE.py:FUNCTION`."""

    choice: Choice
    function: PathTo = PathTo(function=True)

    def read(self, node: Node, label: str, reader: Reader) -> Any:
        value = scalar(node) if isinstance(node, ScalarNode) else None
        is_function = isinstance(value, str) and ".py" in value
        return (self.function if is_function else self.choice).read(node, label, reader)

    def words(self) -> str:
        return f"{self.choice.words()}, or {self.function.words()}"

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.choice.schema(), self.function.schema()]}
