"""What may be a cause: one file each, in a folder of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from pipelines.backends.rknn.findings.finding import Found


@dataclass(frozen=True)
class Suspect:
    """What may be a cause, with the parts of its docstring."""

    name: str
    find: Callable[[Any], Iterator[Found]]
    title: str
    looks: str
    why: str
    remedy: str


def suspects(package: str) -> tuple[Suspect, ...]:
    """Those of a folder: every file with a function `find`, in the order of their PLACE.

    Whoever is first is told first, among causes as much at fault. table.py is what asks.
    """
    names = (found.name for found in iter_modules(import_module(package).__path__))
    modules = [import_module(f"{package}.{name}") for name in names if name != "table"]
    found = [module for module in modules if hasattr(module, "find")]
    return tuple(map(described, sorted(found, key=lambda module: int(module.PLACE))))


def described(module: Any) -> Suspect:
    """Every suspect's docstring has a title and these three paragraphs, in this order."""
    parts = [" ".join(part.split()) for part in str(module.__doc__).strip().split("\n\n")]
    title, looks, why, remedy = parts
    return Suspect(
        name=module.__name__.rpartition(".")[2],
        find=module.find,
        title=title.removesuffix("."),
        looks=_after("Looks like: ", looks),
        why=_after("Why: ", why),
        remedy=_after("Do: ", remedy),
    )


def _after(start: str, text: str) -> str:
    if not text.startswith(start):
        raise ValueError(f"a paragraph of a cause should start with `{start}`: {text}")
    return text[len(start) :]
