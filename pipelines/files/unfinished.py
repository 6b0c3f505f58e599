"""Folders beside a place, in which what goes there is made first; a kill leaves no half of it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

_START = ".npumake-"
_NAME = re.compile(rf"{re.escape(_START)}[a-z0-9_]{{8}}")  # tempfile's


@contextmanager
def folder_in(parent: Path) -> Iterator[Path]:
    """A new, empty folder in `parent`, which is made where it is absent; removed at the end.

    What killed processes left there is removed first. A living one holds a lock on its folder, so
    that neither its number nor its machine need be known. Where a file system has no locks, nothing
    of others is removed. Raises OSError.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent)
    folder, lock = _locked(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """files: name -> content. Each is whole, or as it was before. Raises OSError."""
    with folder_in(folder) as made:
        for name, content in files.items():
            with (made / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for name in files:
            os.replace(made / name, folder / name)


def _locked(parent: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_START, dir=parent))
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with suppress(OSError):  # NFS locks no folder
            fcntl.flock(lock, fcntl.LOCK_EX)
        # Between those two lines another process may have taken it for a dead one's.
        if _is_at(lock, folder):
            return folder, lock
        os.close(lock)


def _sweep(parent: Path) -> None:
    for folder in [path for path in parent.iterdir() if _NAME.fullmatch(path.name)]:
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # gone meanwhile, or no folder of ours
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # its process lives, or there are no locks
            continue
        finally:
            os.close(lock)


def _is_at(lock: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), folder.stat())
    except FileNotFoundError:
        return False
