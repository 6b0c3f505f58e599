"""Copies of the project's code: tests make some five hundred, of fifteen hundred files each."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple


class _File(NamedTuple):
    path: str  # below the root
    data: bytes
    mode: int
    times_ns: tuple[int, int]


class Code:
    """What is below some folders now, and their files' times: so is bytecode valid in a copy.

    Bytecode is shared, as nobody writes into it: Python makes a new file of another, and then
    renames it. What another worker is making (`*.pyc.*`) is left out.
    """

    def __init__(self, root: Path, parts: Sequence[str]) -> None:
        self._folders: list[str] = []
        self._files: list[_File] = []
        self._bytecode: list[tuple[str, str, bytes]] = []  # path, a file that can be linked, data
        self._store = tempfile.mkdtemp(prefix="bytecode-")
        atexit.register(shutil.rmtree, self._store)
        for part in parts:
            self._read(str(root), part)

    def write(self, root: Path, *, is_compiled: bool = True) -> None:
        """A copy, in a folder that has none of these. is_compiled: with its bytecode."""
        for folder in self._folders:
            if is_compiled or not folder.endswith("__pycache__"):
                Path(f"{root}/{folder}").mkdir()
        for path, data, mode, times_ns in self._files:
            place = f"{root}/{path}"
            _write(place, data, mode)
            os.utime(place, ns=times_ns)
        for path, kept, data in self._bytecode if is_compiled else ():
            try:
                os.link(kept, f"{root}/{path}")
            except OSError:  # another file system
                _write(f"{root}/{path}", data, 0o644)

    def _read(self, root: str, folder: str) -> None:
        self._folders.append(folder)
        for entry in _entries(f"{root}/{folder}"):
            path = f"{folder}/{entry.name}"
            if entry.is_dir():
                self._read(root, path)
            elif entry.name.endswith(".pyc"):
                kept = f"{self._store}/{len(self._bytecode)}"
                _write(kept, data := Path(entry.path).read_bytes(), 0o644)
                self._bytecode.append((path, kept, data))
            elif ".pyc." not in entry.name:
                found = entry.stat()
                times_ns = found.st_atime_ns, found.st_mtime_ns
                data = Path(entry.path).read_bytes()
                self._files.append(_File(path, data, found.st_mode & 0o7777, times_ns))


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from entries


def _write(place: str, data: bytes, mode: int) -> None:
    file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.fchmod(file, mode)  # whatever the umask is
        os.write(file, data)
    finally:
        os.close(file)
