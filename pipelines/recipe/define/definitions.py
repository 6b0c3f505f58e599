"""Every section and key of a recipe: those that all backends read, and each backend's own.

The parser, the JSON Schema and docs/recipe.md are made from these definitions alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pipelines.files.where import nearest
from pipelines.recipe.define.backend_keys import BackendKeys
from pipelines.recipe.define.sections import (
    ANALYZE,
    CALIBRATION,
    EVALUATE,
    GATES,
    INPUT,
    LIMITS,
    SIMPLIFY,
    SOURCE,
)
from pipelines.recipe.kinds.containers import ListOf, MapOf
from pipelines.recipe.kinds.scalars import Choice, Flag, Name, PathTo, Text
from pipelines.recipe.kinds.section import Key, Section

Path = tuple[str, ...]


class Definitions:
    """backends: by name; a target that names none has the first.

    overrides: sections that a target may have too, as the recipe has them.
    """

    def __init__(self, backends: Iterable[BackendKeys]) -> None:
        self.backends: Mapping[str, BackendKeys] = {one.name: one for one in backends}
        self.default = next(iter(self.backends))
        self.own = _merged(self.backends.values())
        self.overrides = {**self.own, "analyze": ANALYZE, "gates": GATES}
        self.target = self._target()
        self.recipe = self._recipe()
        self._homes = self._find_homes()
        self._foreign = {name: self._find_foreign(name) for name in self.backends}

    @property
    def sections(self) -> list[Section]:
        """All, in the order of the reference."""
        own = [section for one in self.own.values() for section in _with_inner(one)]
        common = (ANALYZE, EVALUATE, GATES, LIMITS)
        return [self.recipe, SOURCE, *_with_inner(INPUT), SIMPLIFY, *own, *common, self.target]

    def unknown(self, section: Section, name: str) -> tuple[str, str]:
        """What to say of a key that `section` does not have."""
        for backend in self.backends.values():
            if known := backend.known(name):
                return known
        what = f"unknown key `{name}`"
        near = nearest(name, section.keys)
        if near and near.lower() == name.lower():
            return what, f"did you mean `{near}`?"
        for home, keys in self._homes.items():
            if name in keys and home != section.name:
                return what, f"write it under `{home}`"
        if near:
            return what, f"did you mean `{near}`?"
        place = f"`{section.name}`" if section.name else "a recipe"
        return what, f"{place} has {', '.join(sorted(section.keys))}"

    def foreign(self, backend: str) -> Mapping[Path, Sequence[BackendKeys]]:
        """Paths of a target that only other backends read, each with those."""
        return self._foreign[backend]

    def _find_foreign(self, backend: str) -> dict[Path, list[BackendKeys]]:
        read = {*self._paths(self.backends[backend])}
        found: dict[Path, list[BackendKeys]] = {}
        for other in self.backends.values():
            for path in self._paths(other):
                if path not in read:
                    found.setdefault(path, []).append(other)
        return found

    def _paths(self, backend: BackendKeys) -> Iterator[Path]:
        """What it reads of a target: its keys, and sections, or keys of those that are shared."""
        yield from ((key,) for key in backend.keys)
        for name, section in backend.sections.items():
            users = [one for one in self.backends.values() if name in one.sections]
            yield from [(name,)] if len(users) == 1 else [(name, key) for key in section.keys]

    def _target(self) -> Section:
        own = {name: key for one in self.backends.values() for name, key in one.keys.items()}
        given = {
            name: Key(section, f"Overrides the recipe's `{name}`, key by key.")
            for name, section in self.overrides.items()
        }
        defaults = {k: v for one in self.backends.values() for k, v in one.defaults.items()}
        return Section(
            "targets: NAME",
            "One thing to build for.",
            "{platform: rk3588}",
            {
                "backend": Key(Choice("backend", tuple(self.backends)), "What builds it."),
                "baseline": Key(
                    Flag(), "Bad on purpose, to compare others with: the table of a run says so."
                ),
                **own,
                **given,
            },
            {"backend": self.default, "baseline": False, **defaults},
        )

    def _recipe(self) -> Section:
        sections = {"simplify": SIMPLIFY, **self.own, "analyze": ANALYZE, "evaluate": EVALUATE}
        sections |= {"gates": GATES, "limits": LIMITS}
        return Section(
            "",
            "One model.",
            "{model: NAME, ...}",
            {
                "model": Key(
                    Text(example="the name of the model's folder"), "Name.", required=True
                ),
                "description": Key(Text(), "One line on what it is."),
                "source": Key(SOURCE, SOURCE.doc, required=True),
                "inputs": Key(
                    MapOf("input", INPUT, example="{NAME: {shape: [1, 3, 224, 224], color: rgb}}"),
                    "The network's inputs, by name. torch and TorchScript need all of them, in "
                    "order.",
                ),
                "outputs": Key(
                    ListOf(Name("a tensor's name"), at_least=1, unique=True),
                    "Output names, in order: given to a torch network's outputs; of other sources, "
                    "the outputs to keep. All where left out.",
                ),
                **{name: Key(section, section.doc) for name, section in sections.items()},
                "outside": Key(
                    ListOf(PathTo("file or folder"), at_least=1, unique=True),
                    "Paths of this recipe that may lead out of the project by a link, with all "
                    "below them; of a list file, all that it names.",
                ),
                "targets": Key(
                    MapOf("target", self.target, at_least=1, example="{rk3588: {}}"),
                    "What to build for.",
                    required=True,
                ),
            },
        )

    def _find_homes(self) -> dict[str, frozenset[str]]:
        """Section -> its keys; the first that has a key is named to who wrote it elsewhere."""
        homes = {home: keys for one in self.backends.values() for home, keys in one.homes.items()}
        common = (INPUT, SOURCE, SIMPLIFY, *self.own.values(), GATES, LIMITS, EVALUATE)
        for section in common:
            homes.setdefault(section.name, frozenset(section.keys))
        homes[self.target.name] = frozenset(self.target.keys) - set(self.overrides)
        homes[CALIBRATION.name] = frozenset(CALIBRATION.keys)
        return homes


def _merged(backends: Iterable[BackendKeys]) -> dict[str, Section]:
    """Section by key in the recipe; of a shared one, the first's words and all keys."""
    merged: dict[str, Section] = {}
    for backend in backends:
        for name, section in backend.sections.items():
            first = merged.setdefault(name, section)
            more = {name: key for name, key in section.keys.items() if name not in first.keys}
            merged[name] = replace(first, keys={**first.keys, **more})
    return merged


def _with_inner(section: Section) -> Iterator[Section]:
    yield section
    for key in section.keys.values():
        if isinstance(key.kind, Section):
            yield from _with_inner(key.kind)
