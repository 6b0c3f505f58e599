"""What may be a cause: one file each, in a folder of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.backends.rknn.findings.finding import Found


class Suspect(NamedTuple):
    """What may be a cause, with the parts of its docstring."""

    name: str
    find: Callable[[Any], Iterator[Found]]
    title: str
    looks: str
    why: str
    remedy: str


def suspects(package: str) -> tuple[Suspect, ...]:
    """Those of a folder and of those in it: every file with a function `find`, by their PLACE.

    Whoever is first is told first, among causes as much at fault. table.py is what asks.
    """
    # Not by pkgutil, whose iter_modules imports `inspect`: a tenth of ./doit inspect.
    folder = Path(import_module(package).__path__[0])
    files = [file.relative_to(folder).with_suffix("") for file in folder.rglob("[a-z]*.py")]
    names = sorted(".".join(file.parts) for file in files if file.name != "table")
    modules = [import_module(f"{package}.{name}") for name in names]
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
