"""The DVC repository around the project: its cache's place and link type, and its lock."""

from __future__ import annotations

import configparser
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LINKS = ("reflink", "copy", "hardlink", "symlink")
_PATIENCE_S = 60.0


class RepositoryLocked(Exception):
    """Another process holds DVC's lock for longer than we wait."""


@dataclass(frozen=True)
class Cache:
    """links: how a workspace file is made from an object, the first that works is taken."""

    folder: Path
    links: tuple[str, ...]

    @property
    def objects(self) -> Path:
        return self.folder / "files" / "md5"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"


def cache(root: Path) -> Cache:
    """The cache that .dvc/config and .dvc/config.local name.

    Raises ValueError on a link type that DVC does not know.
    Source: https://dvc.org/doc/user-guide/project-structure/configuration#cache
    """
    options = _cache_options(root)
    folder = Path(os.path.expanduser(options.get("dir", "cache")))  # noqa: PTH111 - may be relative
    named = options.get("type", "reflink,copy").replace('"', "").split(",")
    links = tuple(name.strip() for name in named)
    for link in links:
        if link not in LINKS:
            raise ValueError(f".dvc/config: no cache type `{link}`; DVC has {', '.join(LINKS)}")
    # A relative dir counts from the folder of the config file.
    return Cache(root / ".dvc" / folder, links)


def _cache_options(root: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read([root / ".dvc" / "config", root / ".dvc" / "config.local"])
    return dict(parser["cache"]) if parser.has_section("cache") else {}


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold DVC's repository lock, as DVC does while it writes dvc.lock.

    Source: dvc.lock.Lock: zc.lockfile, an exclusive flock on .dvc/tmp/lock.
    Raises RepositoryLocked after a minute.
    """
    place = root / ".dvc" / "tmp" / "lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a+") as file:
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    file.seek(0)
                    holder = file.read().strip() or "unknown"
                    raise RepositoryLocked(
                        f"DVC's lock {place} is held (process {holder})\n"
                        "  wait for that dvc command to end, then run ./doit again"
                    ) from None
                time.sleep(0.05)
        yield


def is_inside_dvc() -> bool:
    """Whether `dvc repro` runs us: then DVC itself caches the outputs and writes dvc.lock."""
    return "DVC_STAGE" in os.environ
