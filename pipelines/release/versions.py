"""Releases as GTO keeps them: annotated git tags `MODEL@v1.2.0` and `MODEL#prod#1`.

Source: https://dvc.org/doc/gto
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipelines.files.git import git

_TAG = re.compile(r"([a-z0-9/_-]+)(?:@v(\d+\.\d+\.\d+)|#([a-z0-9-]+)#(\d+))")


@dataclass(frozen=True)
class Version:
    """name: MODEL, or MODEL/TARGET as the registry has it. stages: those it is in now."""

    name: str
    number: str
    commit: str
    stages: tuple[str, ...]

    @property
    def tag(self) -> str:
        return f"{self.name}@v{self.number}"

    def lock_of(self, root: Path, model: str) -> str | None:
        """The blob of the model's dvc.lock in this version; None where it has none."""
        told = git(root, "ls-tree", self.commit, "--", f"models/{model}/dvc.lock")
        return told.split()[2] if told else None


def versions(root: Path) -> list[Version]:
    """All that are registered, by name, the latest first."""
    found: list[tuple[str, str, str]] = []
    stages: dict[tuple[str, str], tuple[int, str]] = {}
    form = "--format=%(refname:strip=2)%09%(objectname)%09%(*objectname)"
    for line in git(root, "for-each-ref", form, "refs/tags").splitlines():
        tag, plain, peeled = line.split("\t")
        match, commit = _TAG.fullmatch(tag), peeled or plain
        if match is None:
            continue
        name, number, stage, count = match.groups()
        if number:
            found.append((name, number, commit))
        else:
            latest = stages.get((name, stage), (0, ""))
            stages[name, stage] = max(latest, (int(count), commit))
    rows = [
        Version(
            name,
            number,
            commit,
            tuple(sorted(s for (n, s), (_, at) in stages.items() if (n, at) == (name, commit))),
        )
        for name, number, commit in found
    ]
    return sorted(rows, key=lambda row: (row.name, [-int(n) for n in row.number.split(".")]))
