"""Files that are there whole or not at all."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

UNUSED = r"[0-9a-f]+-[0-9a-f]+"  # what `unused` appends
_NUMBERS = itertools.count()
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def write(path: Path | str, data: bytes, *, is_synced: bool = True, mode: int = 0o644) -> None:
    """Replace `path` in one step: a kill leaves the old content or the new, never a part.

    is_synced: a power cut does so too.
    """
    folder, name = os.path.split(path)
    try:
        file, aside = unused(f"{folder}/.{name}.")
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        file, aside = unused(f"{folder}/.{name}.")
    try:
        try:
            write_all(file, data)
            os.fchmod(file, mode)
            if is_synced:
                os.fsync(file)
        finally:
            os.close(file)
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def remember(path: Path | str, data: bytes) -> None:
    """Write what only saves time, and can be made again: where that fails, it is left out."""
    try:
        write(path, data, is_synced=False)
    except OSError:  # a full disk, or one that can't be written
        pass


def unused(start: str) -> tuple[int, str]:
    """A new file whose path begins with `start`, open for writing. Returns the file and its path.

    tempfile.mkstemp, whose random names take longer than the kernel takes to make the file.
    """
    process = os.getpid()
    while True:
        path = f"{start}{process:x}-{next(_NUMBERS):x}"
        try:
            return os.open(path, _FLAGS, 0o600), path
        except FileExistsError:  # a dead process had this number, or another machine's has it
            continue


def write_all(file: int, data: bytes) -> None:
    """A full disk takes a part of what it is given, and refuses only the next write."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
