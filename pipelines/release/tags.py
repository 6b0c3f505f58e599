"""Registering a release with GTO: annotated tags of the model, and of each file in the registry.

GTO alone would take a name that is in no dvc.yaml, so MODEL@v1.2.0 stands for the archive, and
MODEL/TARGET@v1.2.0 is what `dvc artifacts get` asks for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipelines.files.git import git
from pipelines.release.versions import versions
from quant.fault import Fault


def register(root: Path, names: Iterable[str], number: str, told: Mapping[str, Any]) -> list[str]:
    """Tags of the present commit that were not there; told: goes into their messages."""
    import gto.api  # takes half a second

    there = {(one.name, one.number) for one in versions(root)}
    made = []
    for name in names:
        if (name, number) not in there:
            _call(
                gto.api.register,
                root,
                name=name,
                ref="HEAD",
                version=f"v{number}",
                message=json.dumps(told, sort_keys=True),
            )
            made.append(f"{name}@v{number}")
    return made


def assign(root: Path, names: Iterable[str], number: str, stage: str) -> list[str]:
    """Names that were put in a stage, where they were not in it already."""
    import gto.api

    there = {one.name for one in versions(root) if one.number == number and stage in one.stages}
    made = [name for name in names if name not in there]
    for name in made:
        _call(gto.api.assign, root, name=name, stage=stage, version=f"v{number}")
    return made


def _call(act: Any, root: Path, **given: Any) -> None:
    try:
        act(git(root, "rev-parse", "--show-toplevel").strip(), **given)
    except Exception as error:  # of gto, scmrepo, dulwich and pygit2
        advice = "see `git config user.name`, `gto show` and `git tag`"
        raise Fault(f"GTO can't tag {given['name']}: {error}", advice) from error


def told_in(root: Path, tag: str) -> dict[str, Any]:
    """What the tag's message tells; empty for a tag that another tool made."""
    text = git(root, "for-each-ref", "--format=%(contents)", f"refs/tags/{tag}")
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
