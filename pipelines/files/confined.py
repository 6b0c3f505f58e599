"""What somebody else may have written: paths and MD5s in dvc.lock, listings, the run-cache, *.dvc.

They are text that git and remotes carry. A path is used where it stays below the folder that it
counts from, an MD5 where it has the form of one: it becomes a path in the cache.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

MD5 = re.compile(r"[0-9a-f]{32}")
_MD5_OF_FOLDER = re.compile(r"[0-9a-f]{32}\.dir")
_PLAIN = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.@+=-]*/)*[A-Za-z0-9_][A-Za-z0-9_.@+=-]*")
# DVC never looks into these, and git runs what the first may hold.
_UNSEEN = {".git", ".hg", ".dvc", ".dvcignore"}
_LONGEST, _LONGEST_PART = 1000, 255  # bytes; file systems refuse paths of 4,096


class Refused(ValueError):
    """str(): what is wrong, in words that follow the name of the file that says so."""


def require_below(path: Any) -> str:
    """A path that stays below the folder it counts from, written in the one way it has."""
    if type(path) is str and len(path) <= _LONGEST_PART and _PLAIN.fullmatch(path):
        return path
    if not isinstance(path, str) or not path or not path.isprintable():
        raise Refused(f"{path!r} is no path")
    parts = path.split("/")
    if path.startswith("/") or not {"", ".", ".."}.isdisjoint(parts):
        raise Refused(f"`{path}` is not a path below the folder that it counts from")
    if not _UNSEEN.isdisjoint(parts):
        raise Refused(f"`{path}` is a path that DVC never looks at")
    data = os.fsencode(path)
    if len(data) > _LONGEST or max(map(len, data.split(b"/"))) > _LONGEST_PART:
        raise Refused(f"`{path[:40]}...` is too long for a path")
    return path


def require_apart(paths: Iterable[str]) -> None:
    """No path stands twice, and none is below another."""
    seen = set[str]()
    for path in paths:
        if path in seen:
            raise Refused(f"`{path}` stands twice")
        seen.add(path)
    for path in seen:
        end = path.find("/")
        while end > 0:
            if path[:end] in seen:
                raise Refused(f"`{path}` is below `{path[:end]}`, which stands there too")
            end = path.find("/", end + 1)


def require_md5(md5: Any, *, of_folder: bool | None = None) -> str:
    """Of a file, of a folder (`.dir`), or None: of either."""
    if isinstance(md5, str):
        if of_folder is not True and MD5.fullmatch(md5):
            return md5
        if of_folder is not False and _MD5_OF_FOLDER.fullmatch(md5):
            return md5
    raise Refused(f"{str(md5)[:40]!r} is no MD5")


def require_count(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise Refused(f"{str(number)[:40]!r} is no size")
    return number


def way_out(path: str, homes: Sequence[str]) -> str | None:
    """Where a link, at or below `path`, leads that is in none of `homes`, which are real paths.

    Links to folders are not looked behind: nothing counts what is there (content.members).
    """
    if not _is_in(real := os.path.realpath(path), homes):
        return real
    for parent, folders, files in os.walk(path):
        for name in (*folders, *files):
            place = f"{parent}/{name}"
            if os.path.islink(place) and not _is_in(real := os.path.realpath(place), homes):  # noqa: PTH114
                return real
    return None


def _is_in(real: str, homes: Sequence[str]) -> bool:
    return any(real == home or real.startswith(f"{home}/") for home in homes)


def link_above(root: str, path: str) -> str | None:
    """The first of the folders between `root` and `path`, relative to it, that is a link."""
    for parent in reversed(PurePosixPath(path).parents[:-1]):
        if os.path.islink(f"{root}/{parent}"):  # noqa: PTH114 - relative paths, many of them
            return str(parent)
    return None
