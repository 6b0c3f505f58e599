"""The seal: proof that a run with the same arguments has nothing to do, without importing anything.

A clean run notes the stamp of every path whose change could matter, and what it would print if run
again. While all stamps are the same, so is the answer. Standard library only, and little of it:
this is all that a run with nothing to do executes. pipelines.front.doit.sealing writes seals.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import sys
import time
import zlib
from _blake2 import blake2b  # hashlib's own, without OpenSSL, which takes longer than the rest
from collections.abc import Iterable, Sequence

from pipelines.files.terminal import data_width

BEGAN_NS = time.time_ns()  # this module is the first that a run imports
RACY_NS = 20_000_000  # a file changed twice within a tick of the clock (10 ms) keeps its times
COARSE_NS = 2_020_000_000  # where a file system's clock ticks in seconds (FAT: two)
FORM = 6
# Variables that say where DVC's own configuration is, and with it the cache.
VARIABLES = ("HOME", "XDG_CONFIG_HOME", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR")
OFF = "NPUMAKE_NO_SEAL"  # environment variable: any value turns seals off
SEEN: dict[str, bytes] = {}  # stamps that broke a seal: whoever is next needs them too
ABSENT = b"-"  # a stamp of nothing, packed
_HOME = ".npumake/seals"
_pack = struct.Struct("<3q2Q").pack


def tell_if_whole(root: str, arguments: Sequence[str]) -> None:
    """Say what a run would and end the process, if a seal holds that this is all there is to do."""
    held = _held(root, arguments)
    if held is None:
        return
    report, complaints = held
    try:
        sys.stdout.write(report)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise SystemExit(141) from None
    if complaints:
        from pipelines.files import console  # takes a third of all the rest

        for line in complaints:
            console.say(line, "red")
    raise SystemExit(1 if complaints else 0)


def check(root: str, arguments: Sequence[str]) -> str | None:
    """What a run would print on stdout, or None where only a run can tell."""
    held = _held(root, arguments)
    return None if held is None else held[0]


def _held(root: str, arguments: Sequence[str]) -> tuple[str, list[str]] | None:
    """What a run would print, and the gates that it would say to fail."""
    if os.environ.get(OFF):
        return None
    try:
        with open(f"{root}/{place(arguments)}", "rb") as file:  # noqa: PTH123 - no pathlib here
            seal = json.loads(file.read())
        if seal["form"] != FORM or seal["arguments"] != list(arguments):
            return None
        if seal["width"] != data_width():  # the report fits another terminal
            return None
        if seal["environment"] != environment():
            return None
        if any(names(f"{root}/{folder}") != held for folder, held in seal["folders"].items()):
            return None
        if is_busy(root):
            return None
        paths = seal["paths"]
        stamps = stamps_of(root, paths)
        if state_of(stamps) != seal["state"]:
            SEEN.update(zip(paths, stamps, strict=True))
            return None
        is_same = missing(root, seal["absent"]) == seal["absent"]
        return (str(seal["report"]), [*map(str, seal["failures"])]) if is_same else None
    except (OSError, ValueError, KeyError, TypeError):  # none, or damaged
        return None


def stamps_of(root: str, paths: Iterable[str]) -> list[bytes]:
    """Each path's stamp, packed: most of what a run with nothing to do costs. From `root` on."""
    found: list[bytes] = []
    add, stat = found.append, os.stat
    # From the folder's own handle: the kernel then doesn't walk down to it each time.
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for path in paths:
            try:
                of = stat(path, dir_fd=folder)
            except (FileNotFoundError, NotADirectoryError):
                add(ABSENT)
            else:
                add(_pack(of.st_mtime_ns, of.st_ctime_ns, of.st_size, of.st_ino, of.st_dev))
    finally:
        os.close(folder)
    return found


def missing(root: str, paths: Iterable[str]) -> list[str]:
    """Those by whose name nothing is there, not even a link that leads nowhere.

    Where there is nothing this takes half as long as to ask for a stamp.
    """
    access, folder = os.access, os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return [
            path
            for path in paths
            if not access(path, os.F_OK, dir_fd=folder, follow_symlinks=False)
        ]
    finally:
        os.close(folder)


def stamp(path: str) -> list[int] | None:
    """What changes when a file or folder does; None where there is nothing."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return [found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev]


def racy_ns(mtime_ns: int, ctime_ns: int) -> int:
    """How old a change must be for another one to show in the times.

    Whole seconds are the file system's, unless somebody set mtime: then ctime is later, and none.
    """
    is_whole = mtime_ns % 1_000_000_000 == 0
    is_set = ctime_ns > mtime_ns and ctime_ns % 1_000_000_000
    return COARSE_NS if is_whole and not is_set else RACY_NS


def environment() -> list[str | None]:
    return [os.environ.get(name) for name in VARIABLES]


def packed(found: Sequence[int] | None) -> bytes:
    """A stamp in 40 bytes."""
    return _pack(*found) if found else ABSENT


def state_of(stamps: Iterable[bytes]) -> str:
    """One digest of all stamps, in order: a list of 180,000 takes longer to read than to make."""
    return blake2b(b"".join(stamps)).hexdigest()


def names(folder: str) -> list[str]:
    """What stands in a folder of code: its times change when Python caches what it compiled."""
    return names_of(os.scandir(folder))


def names_of(entries: Iterable[os.DirEntry[str]]) -> list[str]:
    """The same of a folder that was read."""
    return sorted(
        entry.name
        for entry in entries
        if not entry.name.startswith(".") and entry.name != "__pycache__"
    )


def place(arguments: Sequence[str]) -> str:
    """The seal's file, relative to the project."""
    return f"{_HOME}/{zlib.crc32(json.dumps(list(arguments)).encode()):08x}.json"


def names_among(arguments: Sequence[str]) -> list[str] | None:
    """The arguments without options; None where one changes more than how steps are run."""
    found, words = [], iter(arguments)
    for word in words:
        if word in ("-n", "--process"):
            next(words, None)
        elif not word.startswith("-"):
            found.append(word)
        elif word not in ("-c", "--continue"):
            return None
    return found


def is_busy(root: str) -> bool:
    """Whether another run goes on, or left a journal: a run waits for it, or mends."""
    try:
        if next(os.scandir(f"{root}/.npumake/journal"), None):
            return True
    except FileNotFoundError:
        pass
    file = os.open(f"{root}/.npumake/run.lock", os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(file)
