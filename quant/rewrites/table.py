"""The rewrite rules, by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from quant.rewrites import names
from quant.rewrites.rule import Rule


def _rules(folder: str, found: Sequence[str]) -> Iterator[tuple[str, Rule[Any]]]:
    for name in found:
        module = import_module(f"quant.rewrites.{folder}.{name}")
        # Not isinstance(): for Python 3.10, `list[int]` is a class too.
        own: list[Any] = [one for one in vars(module).values() if type(one) is type(Rule)]
        (rule,) = (
            one for one in own if issubclass(one, Rule) and one.__module__ == module.__name__
        )
        yield name, rule()


RULES = {**dict(_rules("named", names.NAMED)), **dict(_rules("cuts", names.CUTS))}
ADAPTATIONS = dict(_rules("adaptations", names.ADAPTATIONS))
