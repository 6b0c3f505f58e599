"""The facts a step stands on. One walk over them gives the key and the explanation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.files.engine import PREFIX, TOOLCHAINS
from pipelines.record.digest import Content, Contents
from pipelines.record.step import Step

VERSIONS = f"{PREFIX}pipelines/stages/versions.yaml"
DEFAULTS = f"{PREFIX}pipelines/stages/defaults.yaml"
_KINDS = {VERSIONS: "stage version", DEFAULTS: "default"}  # of parameters; others are the recipe's
_OTHER = re.compile(r"""[-+0-9\[{'"]|(?:True|False|None|nan|inf)?\Z""")  # how other values begin


@dataclass(frozen=True)
class Facts:
    """deps: path -> content (None: it is missing). params: file -> dotted key -> value.

    Paths are relative to the project.
    """

    command: str
    deps: Mapping[str, Content | None]
    params: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Change:
    """One fact that differs. before or after is None where the fact is absent."""

    kind: str
    name: str
    before: str | None = None
    after: str | None = None

    def __str__(self) -> str:
        if self.before is None and self.after is None:
            return f"{self.kind} {self.name}".strip()
        return f"{self.kind} {self.name} {self.before or '(none)'} -> {self.after or '(none)'}"


NEVER = Change("never", "built")


def observe(
    step: Step, contents: Contents, foreseen: Mapping[str, Content | None] | None = None
) -> Facts:
    """What the step's facts are now. foreseen: what dependencies will be that are not made yet."""
    known = foreseen or {}
    return Facts(
        step.command,
        {path: known[path] if path in known else contents.of(path) for path in step.dependencies},
        {
            f"{step.folder}/recipe.yaml": dict(step.sections),
            VERSIONS: {step.version_key: step.version},
            **({DEFAULTS: dict(step.defaults)} if step.defaults else {}),
        },
    )


def changes(old: Facts | None, new: Facts) -> list[Change]:
    """Every fact that differs; empty means that the step's outputs are what it would make again."""
    if old is None:
        return [NEVER]
    if _is_same(old, new):
        return []
    before, after = dict(_leaves(old)), dict(_leaves(new))
    return [
        _change(key, before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _is_same(old: Facts, new: Facts) -> bool:
    """Whether no leaf can differ. Text tells 1 from 1.0 and True, which are equal to Python."""
    return (
        old.command == new.command
        and old.deps.keys() == new.deps.keys()
        and all(_md5(old.deps[path]) == _md5(content) for path, content in new.deps.items())
        and _params_text(old) == _params_text(new)
    )


def _params_text(facts: Facts) -> str:
    return repr(sorted((file, sorted(values.items())) for file, values in facts.params.items()))


def _md5(content: Content | None) -> str:
    return content.md5 if content else "missing"


def _leaves(facts: Facts) -> Iterator[tuple[tuple[str, str], str]]:
    """((kind, name), value as text) of every single fact."""
    yield ("command", ""), facts.command
    for path, content in facts.deps.items():
        yield ("dep", path), _md5(content)
    for file, params in facts.params.items():
        kind = _KINDS.get(file, "param")
        for name, value in params.items():
            yield from (((kind, leaf), text) for leaf, text in _flat(name, value))


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(f"{name}.{key}", item)
    else:
        yield name, _text(value)


def _text(value: Any) -> str:
    """Text as it is where no other value is written so; DVC tells "1" from 1."""
    return value if isinstance(value, str) and not _OTHER.match(value) else repr(value)


def _change(key: tuple[str, str], before: str | None, after: str | None) -> Change:
    kind, name = key
    if kind != "dep":
        return Change(kind, name, before, after)
    if name.startswith(f"{TOOLCHAINS}/"):
        kind, name = "toolchain", name.removeprefix(f"{TOOLCHAINS}/").removesuffix(".txt")
    else:
        kind = "file"
    if before is None:
        return Change(kind, f"{name} is new here")
    if after is None:
        return Change(kind, f"{name} is no longer used")
    return Change(kind, f"{name} is missing" if after == "missing" else f"{name} changed")
