"""What a file or folder contains, as the MD5 that DVC would give it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import atomic

_CHUNK = 1 << 20
# A file changed again within one tick of the kernel's clock keeps its times (CONFIG_HZ=100: 10 ms),
# so a hash of a file this young is not remembered.
_RACY_NS = 20_000_000


@dataclass(frozen=True)
class Content:
    """MD5 of a file, or DVC's `.dir` hash of a folder. size in bytes, nfiles for folders only."""

    md5: str
    size: int
    nfiles: int | None = None
    is_executable: bool = False


def md5_of(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below `folder`, links followed, in no particular order."""
    for parent, _, names in os.walk(folder, followlinks=True):
        yield from (Path(parent, name) for name in names)


def listing(members: Mapping[str, str]) -> bytes:
    """DVC's `.dir` object: JSON of the members' md5 and path, sorted by path."""
    rows = [{"md5": md5, "relpath": path} for path, md5 in sorted(members.items())]
    return json.dumps(rows, sort_keys=True).encode()


def measure(path: Path) -> tuple[Content, dict[str, str] | None]:
    """Content of a file or folder, hashed anew; for a folder also its members' MD5 by path."""
    if not path.is_dir():
        return Content(md5_of(path), path.stat().st_size), None
    members = {file.relative_to(path).as_posix(): md5_of(file) for file in files_below(path)}
    return folder_content(path, members), members


def folder_content(folder: Path, members: Mapping[str, str]) -> Content:
    total = sum(os.stat(f"{folder}/{path}").st_size for path in members)
    md5 = hashlib.md5(listing(members), usedforsecurity=False).hexdigest()
    return Content(md5 + ".dir", total, len(members))


class Contents:
    """Content by path, remembered by the file's times and size.

    memory: file that keeps what was hashed between runs.
    """

    def __init__(self, root: Path, memory: Path) -> None:
        self.root = root
        self._base = f"{root}/"  # joining thousands of Paths takes longer than asking for them
        self._memory = memory
        self._known: dict[str, list[Any]] | None = None
        self._is_changed = False
        self._lock = threading.Lock()

    def of(self, path: str) -> Content | None:
        """Content of a path relative to the project; None where there is nothing."""
        try:
            return self._of_file(path, os.stat(self._base + path))
        except IsADirectoryError:
            return self._of_folder(path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def members(self, folder: str) -> dict[str, str]:
        """Path below the folder -> MD5, for every file in it."""
        base = f"{self._base}{folder}/"
        found = {}
        for parent, _, names in os.walk(base, followlinks=True):
            inside = f"{parent[len(base) :]}/".lstrip("/")
            for name in names:
                content = self.of(f"{folder}/{inside}{name}")
                if content is None:
                    raise FileNotFoundError(f"{folder}/{inside}{name}")
                found[inside + name] = content.md5
        return found

    def save(self) -> None:
        with self._lock:
            if self._is_changed and self._known is not None:
                atomic.write(self._memory, json.dumps(self._known).encode())
                self._is_changed = False

    def _of_folder(self, folder: str) -> Content:
        return folder_content(self.root / folder, self.members(folder))

    def _of_file(self, path: str, status: os.stat_result) -> Content:
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(path)
        stamp = [status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino]
        known = self._load().get(path)
        is_executable = bool(status.st_mode & stat.S_IXUSR)
        if known is not None and known[1:] == stamp:
            return Content(known[0], status.st_size, None, is_executable)
        asked_ns = time.time_ns()
        md5 = md5_of(self.root / path)
        if asked_ns - max(status.st_mtime_ns, status.st_ctime_ns) > _RACY_NS:
            with self._lock:
                self._load()[path] = [md5, *stamp]
                self._is_changed = True
        return Content(md5, status.st_size, None, is_executable)

    def _load(self) -> dict[str, list[Any]]:
        if self._known is None:
            try:
                self._known = dict(json.loads(self._memory.read_bytes()))
            except (OSError, ValueError):  # none yet, or damaged: it is only a memory
                self._known = {}
        return self._known
