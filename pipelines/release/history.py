"""The builds that git's history tells of: every dvc.lock of every commit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from pipelines.dvc import lock, lock_text
from pipelines.dvc.repo import cache
from pipelines.files.confined import Refused
from pipelines.files.git import blobs, git
from pipelines.record.digest import Content

_LOCKS = "models/*/dvc.lock"
_BUILD = "build-"


@dataclass(frozen=True)
class Commit:
    revision: str
    date: str
    subject: str


@dataclass(frozen=True)
class Build:
    """What build made for a target. outs: path relative to the project -> content.

    blob: of the dvc.lock that tells of it. commits: those that brought it, the newest first; none
    for what is not committed.
    """

    model: str
    target: str
    outs: Mapping[str, Content]
    blob: str | None
    commits: tuple[Commit, ...]


@dataclass
class History:
    """unknown: builds of .rknn files whose digest can't be told: no build.json in the cache."""

    root: Path
    unknown: int = 0
    _digests: dict[str, str | None] = field(default_factory=dict)

    def by_content(self, md5: str) -> list[Build]:
        """Builds that made a file with this MD5."""
        return [b for b in self.builds if any(out.md5 == md5 for out in b.outs.values())]

    def by_digest(self, start: str) -> list[Build]:
        """Builds of .rknn files whose digest starts so."""
        return [b for b in self.builds if (self.digest(b) or "").startswith(start)]

    def digest(self, build: Build) -> str | None:
        """The digest that its .rknn carries; None where there is none, or it is not known."""
        for path, content in build.outs.items():
            if PurePosixPath(path).name == "build.json":
                if content.md5 not in self._digests:
                    self._digests[content.md5] = self._read(path, content.md5)
                return self._digests[content.md5]
        return None

    def _read(self, path: str, md5: str) -> str | None:
        places = (self._objects / md5[:2] / md5[2:], self.root / path)
        for place in places:
            try:
                told = json.loads(place.read_bytes())
            except (OSError, ValueError):
                continue
            origin = told.get("origin") if isinstance(told, dict) else None
            return str(origin["digest"]) if origin else None
        self.unknown += 1
        return None

    @cached_property
    def _objects(self) -> Path:
        return cache(self.root).objects

    @cached_property
    def builds(self) -> list[Build]:
        """Of the working tree, then of all commits."""
        found = [
            build
            for place in sorted(self.root.glob(_LOCKS))
            for build in _builds(place.parent.name, place.read_text("utf-8", "replace"), None, ())
        ]
        versions = self._versions()
        texts = blobs(self.root, {blob for _, blob in versions})
        for (model, blob), commits in versions.items():
            found += _builds(model, texts[blob], blob, tuple(commits))
        return found

    def _versions(self) -> dict[tuple[str, str], list[Commit]]:
        """(Model, blob of its dvc.lock) -> the commits that brought it, the newest first."""
        told = git(
            self.root,
            *("log", "--all", "-m", "--no-renames", "--raw", "--no-abbrev"),
            *("--format=%x01%H%x00%cs%x00%s", "--", _LOCKS),
        )
        found: dict[tuple[str, str], list[Commit]] = {}
        commit = Commit("", "", "")
        for line in told.splitlines():
            if line.startswith("\x01"):
                commit = Commit(*line[1:].split("\0", 2))
            elif line.startswith(":"):
                told_of, path = line.split("\t", 1)
                blob = told_of.split()[3]
                if set(blob) != {"0"}:  # deleted
                    commits = found.setdefault((PurePosixPath(path).parent.name, blob), [])
                    if commit not in commits:
                        commits.append(commit)
        return found


def _builds(
    model: str, text: str, blob: str | None, commits: tuple[Commit, ...]
) -> Iterator[Build]:
    """Of one dvc.lock; what is damaged in it tells of nothing."""
    try:
        stages = lock_text.load(text)
    except ValueError:
        return
    for name, stage in stages.items():
        if name.startswith(_BUILD):
            try:
                outs = lock.from_stage(stage, f"models/{model}").outs
            except (KeyError, TypeError, AttributeError, Refused):
                continue
            yield Build(model, name.removeprefix(_BUILD), outs, blob, commits)
