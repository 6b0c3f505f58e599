"""The default remote of DVC: objects and runs, of which nothing is kept that is not what it says.

DVC itself fetches a folder's members by what the folder's listing says. Here a listing is an object
as any other: what is fetched is asked for by MD5, hashed, and only then put into the cache.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipelines.dvc.repo import locked
from pipelines.dvc.store import Store
from pipelines.files import console
from quant.fault import Fault

ADVICE = "name one that works with `dvc remote add -d NAME URL`, or run without --pull"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class PullError(Fault):
    """Nothing could be fetched: no remote, or one that does not answer."""


class Remote:
    """Through DVC itself, under DVC's lock. `with` opens and closes it."""

    def __init__(self, root: Path, store: Store) -> None:
        self._root = root
        self._store = store
        self.count = 0  # objects that were fetched

    def __enter__(self) -> Remote:
        # DVC takes a second to import, and only a run that lacks something needs it.
        from dvc.config import NoRemoteError  # type: ignore[import-untyped]
        from dvc.repo import Repo  # type: ignore[import-untyped]

        logging.getLogger("dvc").setLevel(logging.CRITICAL)  # lists of MD5s; we tell steps
        try:
            self._repo: Any = Repo(str(self._root))
            self.name = self._repo.cloud.get_remote().name
        except NoRemoteError as error:
            what = "DVC has no default remote to pull from"
            raise PullError(what, ADVICE) from error
        except Exception as error:  # remotes fail with whatever their libraries raise
            raise PullError(f"nothing to pull from: {_told(error)}", ADVICE) from error
        return self

    def __exit__(self, *error: object) -> None:
        self._repo.close()

    def fetch_runs(self) -> None:
        """The run-cache: which facts gave which outputs. What is in an entry, Store judges."""
        with locked(self._root):
            self._try(self._fetch_runs)

    def fetch(self, md5s: Iterable[str]) -> None:
        """Objects by MD5, as far as the remote has them."""
        with locked(self._root):
            self._try(lambda: self._fetch(sorted(md5s)))

    def _fetch_runs(self) -> None:
        odb = self._repo.cloud.get_remote_odb(None, "pull", hash_name="md5-dos2unix")
        runs = odb.fs.join(odb.path, "runs")
        wanted: dict[Path, str] = {}
        for path in odb.fs.find(runs) if odb.fs.exists(runs) else ():
            key, value = odb.fs.parts(path)[-2:]
            if _DIGEST.fullmatch(key) and _DIGEST.fullmatch(value):
                place = self._store.runs / key[:2] / key / value
                if not place.exists():
                    wanted[place] = path
        with self._aside() as aside:
            copies = self._copy(odb.fs, {place.name: path for place, path in wanted.items()}, aside)
            for place in wanted:
                self._store.adopt_run(copies[place.name], place)

    def _fetch(self, md5s: list[str]) -> None:
        odb = self._repo.cloud.get_remote_odb(None, "pull")
        there = {md5: odb.oid_to_path(md5) for md5 in odb.list_oids_exists(md5s)}
        with self._aside() as aside:
            for md5, file in self._copy(odb.fs, there, aside).items():
                if self._store.adopt(file, md5):
                    self.count += 1
                else:
                    what = "is not what its name says, and is not used"
                    console.say(f"object {md5} of the remote {self.name} {what}", "yellow")

    def _aside(self) -> tempfile.TemporaryDirectory[str]:
        """A folder of the cache whose name leftovers.py knows."""
        self._store.objects.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix="tmp", dir=self._store.objects)

    def _copy(self, fs: Any, wanted: Mapping[str, str], aside: str) -> dict[str, Path]:
        """Copy files of the remote. wanted: name -> path there. Returns name -> copy."""
        from dvc.fs.callbacks import TqdmCallback  # type: ignore[import-untyped]
        from dvc_objects.fs import generic
        from dvc_objects.fs.local import localfs

        copies = {name: Path(aside, name) for name in wanted}
        if wanted:
            told = f"Fetching from {self.name}"
            with TqdmCallback(size=len(wanted), desc=told, unit="file") as progress:
                to = [str(copy) for copy in copies.values()]
                generic.copy(fs, list(wanted.values()), localfs, to, callback=progress)
        return copies

    def _try(self, act: Any) -> Any:
        try:
            return act()
        except Exception as error:
            raise PullError(f"pulling from {self.name} failed: {_told(error)}", ADVICE) from error


def _told(error: BaseException) -> str:
    lines = [line.strip() for line in (str(error) or repr(error)).splitlines()]
    return " ".join(line for line in lines if line)[:300]
