"""./doit --pull: what the steps need and this machine lacks, fetched before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipelines.building import dry_run
from pipelines.building.project import Project
from pipelines.dvc import tracked
from pipelines.dvc.remote import ADVICE, PullError, Remote
from pipelines.dvc.store import Damaged, Store
from pipelines.files import console
from pipelines.record.digest import Content

__all__ = ["PullError", "pull_outputs", "pull_sources_for"]


def pull_outputs(project: Project, selected: set[str]) -> None:
    """Fetch the objects that make the selected steps up to date; the build then restores them.

    Steps whose facts are recorded nowhere here are looked for in the remote's run-cache.
    Raises PullError.
    """
    root, plan, builder = project.root, project.plan, project.builder
    expected = dry_run.make(plan, builder, selected)
    if not (expected.unknown or expected.lacking):
        return
    with Remote(root, builder.store) as remote:
        if expected.unknown:
            remote.fetch_runs()
            expected = dry_run.make(plan, builder, selected)
        while expected.lacking:  # a folder's members are known once its listing is there
            before = set(expected.lacking)
            remote.fetch(before)
            expected = dry_run.make(plan, builder, selected)
            if not before - set(expected.lacking):
                break
        console.say(f"pulled {remote.count} files from {remote.name}")
        for name in sorted(set(expected.lacking.values()) | expected.unknown):
            console.say(f"{name}  is not in {remote.name}: it may have to run", "dim")


def pull_sources_for(project: Project, arguments: Sequence[str]) -> None:
    """Fetch the missing inputs that *.dvc files describe: those of the models that the arguments
    name and of no model, or all, where the recipes can't be understood without. Raises PullError.
    """
    words = (word for word in arguments if not word.startswith("-"))
    models = [re.split("[/:@]", word.removeprefix("models/"))[0] for word in words]
    _pull_sources(project, models or None)
    if not project.broken:
        return
    try:
        if _pull_sources(project, None):
            project.read_again()
    except PullError as error:
        told = "\n".join(map(str, project.broken.values()))
        raise PullError(f"{error}\n{told}") from error


def _pull_sources(project: Project, models: Sequence[str] | None) -> bool:
    """models: names or wildcards; None for all. Returns whether anything was missing."""
    missing = tracked.missing(project.root, models)
    if missing:
        store = project.builder.store
        with Remote(project.root, store) as remote:
            _fetch_whole(remote, store, [each.content for each in missing])
            for each in missing:
                _restore(store, each, project.root, remote.name)
            console.say(f"pulled {len(missing)} tracked paths from {remote.name}")
    return bool(missing)


def _fetch_whole(remote: Remote, store: Store, contents: Iterable[Content]) -> None:
    """Listings first: they tell of the members."""
    for _ in range(2):
        if lacking := {md5 for content in contents for md5 in store.lacks(content)}:
            remote.fetch(lacking)


def _restore(store: Store, what: tracked.Tracked, root: Path, remote: str) -> None:
    place = root / what.path
    try:
        if not store.has(what.content):
            raise PullError(f"{what.path} is not in {remote}", ADVICE)
        store.restore(what.content, place)
    except Damaged as error:
        raise PullError(f"{what.path} can't be pulled: {error}") from error
    if what.content.is_executable and not place.is_symlink():
        place.chmod(place.stat().st_mode | 0o111)
