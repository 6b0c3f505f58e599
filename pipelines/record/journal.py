"""The journal: one line a finished step, so that a kill loses at most the step that ran.

Every process writes a file of its own and holds a lock on it while it lives; a file that nobody
holds was left by a process that died, and whoever starts next takes it over.

Lines are not synced to the disk: a killed process loses nothing that it wrote. After a power cut,
what the disk lacks of a journal or of the run-cache is not read, and those steps run again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import tempfile
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.files import atomic

SUFFIX = ".jsonl"
_FOLDER = re.compile(r"models/[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")


@dataclass(frozen=True)
class Line:
    """A stage's new text in a model's dvc.lock. before: digest of the text that it replaces."""

    folder: str
    name: str
    before: str | None
    text: str


class Journal:
    """folder: where the journals of all processes are. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self._path = folder
        self._guard = threading.Lock()

    def begin(self) -> None:
        """Make this process's file, so that a later one can tell that this one died."""
        with self._guard:
            self._begin()

    def append(self, line: Line) -> None:
        """Raises OSError; then the journal is as it was, and can be gone on with."""
        data = json.dumps(vars(line)).encode()
        with self._guard:
            file = self._begin()
            end = os.lseek(file, 0, os.SEEK_END)
            try:
                atomic.write_all(file, b"%08x %s\n" % (zlib.crc32(data), data))
            except OSError:  # a full disk takes a part
                os.ftruncate(file, end)
                os.lseek(file, end, os.SEEK_SET)
                raise

    def end(self) -> None:
        """All is in the lock files: remove this process's file."""
        with self._guard:
            if self._file is not None:
                self._path.unlink(missing_ok=True)
                os.close(self._file)
                self._file = None

    def leave(self) -> None:
        """Let go of the file without removing it: a later process takes it over."""
        with self._guard:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def left_behind(self) -> Iterator[list[Line]]:
        """The lines of each process that died, oldest first. What was taken is then removed."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}"), key=_age):
            try:
                file = os.open(path, os.O_RDWR)
            except FileNotFoundError:  # another process was quicker
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(file, path):
                    yield read(path)
                    path.unlink(missing_ok=True)
            except BlockingIOError:  # its process lives
                continue
            finally:
                os.close(file)

    def _begin(self) -> int:
        while self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = f"{os.getpid()}-"
            file, path = tempfile.mkstemp(prefix=name, suffix=SUFFIX, dir=self._folder)
            fcntl.flock(file, fcntl.LOCK_EX)
            # Between those two lines another process may have taken it for a dead one's.
            if _is_at(file, Path(path)):
                self._file, self._path = file, Path(path)
            else:
                os.close(file)
        return self._file


def read(path: Path) -> list[Line]:
    """The whole lines of a journal; a kill may have torn the last."""
    lines = []
    for row in path.read_bytes().split(b"\n"):
        check, _, data = row.partition(b" ")
        if check != b"%08x" % zlib.crc32(data):
            break
        line = Line(**json.loads(data))
        if _FOLDER.fullmatch(line.folder):  # only there are locks written
            lines.append(line)
    return lines


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _is_at(file: int, path: Path) -> bool:
    """Whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
