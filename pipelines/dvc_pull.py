"""./doit --pull: what the steps need and this machine lacks, fetched before anything runs."""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipelines import console, forecast
from pipelines.dvc_repo import locked
from pipelines.project import Project
from pipelines.where import Problems

_ADVICE = "name one that works with `dvc remote add -d NAME URL`, or run without --pull"


class PullError(Exception):
    """Nothing could be fetched: no remote, or one that does not answer."""


def pull_outputs(project: Project, selected: set[str]) -> None:
    """Fetch the objects that make the selected steps up to date; the build then restores them.

    Steps whose facts are recorded nowhere here are looked for in the remote's run-cache.
    Raises PullError.
    """
    root, plan, builder = project.root, project.plan, project.builder
    expected = forecast.make(plan, builder, selected)
    if not (expected.unknown or expected.lacking):
        return
    with _Remote(root) as remote:
        if expected.unknown:
            remote.fetch_runs()
            expected = forecast.make(plan, builder, selected)
        while expected.lacking:  # a folder's members are known once its listing is there
            before = set(expected.lacking)
            remote.fetch(before)
            expected = forecast.make(plan, builder, selected)
            if not before - set(expected.lacking):
                break
        remote.tell(expected)


def pull_sources_for(project: Project, arguments: Sequence[str]) -> None:
    """Fetch the missing inputs that *.dvc files describe: those of the models that the arguments
    name and of no model, or all, where the recipes can't be understood without. Raises PullError.
    """
    words = (word for word in arguments if not word.startswith("-"))
    models = [re.split("[/:@]", word.removeprefix("models/"))[0] for word in words]
    _pull_sources(project.root, models or None)
    try:
        project.plan  # noqa: B018
    except Problems as problems:
        try:
            if _pull_sources(project.root, None):
                return
        except PullError as error:
            raise PullError(f"{error}\n{problems}") from error
        raise


def _pull_sources(root: Path, models: Sequence[str] | None) -> bool:
    """models: names or wildcards; None for all. Returns whether anything was missing."""
    missing = [file for file in _tracked(root, models) if not _is_there(file)]
    if missing:
        with _Remote(root) as remote:
            remote.pull_files([str(file) for file in missing])
    return bool(missing)


def _tracked(root: Path, models: Sequence[str] | None) -> Iterator[Path]:
    for file in sorted(root.rglob("*.dvc")):
        parts = file.relative_to(root).parts
        if any(part.startswith(".") or part == "build" for part in parts) or not file.is_file():
            continue
        if models is None or parts[0] != "models" or _is_chosen(parts[1], models):
            yield file


def _is_chosen(model: str, chosen: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(model, name) for name in chosen)


def _is_there(file: Path) -> bool:
    try:
        outs = yaml.safe_load(file.read_text(encoding="utf-8"))["outs"]
        return all((file.parent / out["path"]).exists() for out in outs)
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise PullError(f"{file} is not a file of DVC's\n  {error!r}") from error


class _Remote:
    """The default remote, through DVC itself, under DVC's lock. `with` opens and closes it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._count = 0

    def __enter__(self) -> _Remote:
        # DVC takes a second to import, and only a run that lacks something needs it.
        from dvc.config import NoRemoteError  # type: ignore[import-untyped]
        from dvc.repo import Repo  # type: ignore[import-untyped]

        logging.getLogger("dvc").setLevel(logging.CRITICAL)  # lists of MD5s; we tell steps
        try:
            self._repo: Any = Repo(str(self._root))
            self._name = self._repo.cloud.get_remote().name
        except NoRemoteError as error:
            what = "DVC has no default remote to pull from"
            raise PullError(f"{what}\n  {_ADVICE}") from error
        except Exception as error:  # remotes fail with whatever their libraries raise
            raise PullError(f"nothing to pull from: {_told(error)}\n  {_ADVICE}") from error
        return self

    def __exit__(self, *error: object) -> None:
        self._repo.close()

    def fetch_runs(self) -> None:
        """The run-cache: which facts gave which outputs."""
        with locked(self._root):
            self._try(lambda: self._repo.stage_cache.pull(None))

    def fetch(self, md5s: Iterable[str]) -> None:
        """Objects by MD5, as far as the remote has them."""
        from dvc_data.hashfile.hash_info import HashInfo

        objects = {HashInfo("md5", md5) for md5 in md5s}
        with locked(self._root):
            done = self._try(lambda: self._repo.cloud.pull(objects))
        self._count += len(done.transferred)

    def pull_files(self, files: Sequence[str]) -> None:
        done = self._try(lambda: self._repo.pull(targets=list(files)))
        console.say(f"pulled {len(done.get('added', []))} tracked paths from {self._name}")

    def tell(self, after: forecast.Forecast) -> None:
        console.say(f"pulled {self._count} files from {self._name}")
        for name in sorted(set(after.lacking.values()) | after.unknown):
            console.say(f"{name}  is not in {self._name}: it may have to run", "dim")

    def _try(self, act: Any) -> Any:
        try:
            return act()
        except Exception as error:
            raise PullError(
                f"pulling from {self._name} failed: {_told(error)}\n  {_ADVICE}"
            ) from error


def _told(error: BaseException) -> str:
    lines = [line.strip() for line in (str(error) or repr(error)).splitlines()]
    return " ".join(line for line in lines if line)[:300]
