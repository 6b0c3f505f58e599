"""Files that are there whole or not at all."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

UNUSED = r"[0-9a-f]+-[0-9a-f]+"  # what `unused` appends
_NUMBERS = itertools.count()
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def write(
    path: Path | str,
    data: bytes,
    *,
    is_synced: bool = True,
    mode: int | None = None,
    folder_mode: int | None = None,
) -> None:
    """Replace `path` in one step: a kill leaves the old content or the new, never a part.

    is_synced: a power cut does so too. mode, folder_mode: of the file and of the folders that are
    made for it; None: as the user's umask has it.
    """
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100
    try:
        file, aside = unused(f"{folder}/.{name}.", 0o666)
    except FileNotFoundError:
        make_folder(folder, folder_mode)
        file, aside = unused(f"{folder}/.{name}.", 0o666)
    try:
        try:
            write_all(file, data)
            if mode is not None:
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


def make_folder(folder: str, mode: int | None = None) -> None:
    """Make a folder and those above it that are absent."""
    try:
        os.mkdir(folder)  # noqa: PTH102
    except FileExistsError:
        return
    except FileNotFoundError:
        make_folder(os.path.dirname(folder), mode)  # noqa: PTH120
        make_folder(folder, mode)
        return
    if mode is not None:
        os.chmod(folder, mode)  # the umask takes from what mkdir is told


def unused(start: str, mode: int = 0o600) -> tuple[int, str]:
    """A new file whose path begins with `start`, open for writing. Returns the file and its path.

    tempfile.mkstemp, whose random names take longer than the kernel takes to make the file.
    """
    process = os.getpid()
    while True:
        path = f"{start}{process:x}-{next(_NUMBERS):x}"
        try:
            return os.open(path, _FLAGS, mode), path
        except FileExistsError:  # a dead process had this number, or another machine's has it
            continue


def write_all(file: int, data: bytes) -> None:
    """A full disk takes a part of what it is given, and refuses only the next write."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
