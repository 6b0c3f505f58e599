"""What a file or folder contains, as the MD5 that DVC would give it."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.files import pulse
from pipelines.files.shelf import Shelf
from pipelines.files.where import Problem, Problems, Where
from pipelines.record import seal
from quant.samples.images.image_names import is_image

IGNORE = ".dvcignore"
_CONTROL = {".git", ".hg", ".dvc"}  # DVC never looks into these
_CHUNK = 1 << 20
FORM = "contents 1"  # of the memory
_PICTURES = "//"  # before an MD5 in the memory: no path begins so
_SYNC_FILE_RANGE = 7  # wait, write, wait. Source: linux/fs.h
# Dirty pages are written after 35 s (vm.dirty_expire_centisecs and writeback), or some more.
_WRITTEN_NS = 120_000_000_000


@dataclass(frozen=True)
class Content:
    """MD5 of a file, or DVC's `.dir` hash of a folder. size in bytes, nfiles for folders only."""

    md5: str
    size: int
    nfiles: int | None = None
    is_executable: bool = False


def md5_of(path: Path) -> str:
    """A file's MD5. What takes long, files of many GB, tells how far it is."""
    digest, done = hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _CHUNK:
            digest.update(file.read())
            return digest.hexdigest()
        with pulse.Progress(f"hashing {path.name}", size).shown() as progress:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                progress.reach(done)
    return digest.hexdigest()


def files_below(folder: str) -> Iterator[str]:
    """Path below `folder` of every file in it, links followed, in no particular order."""
    start = len(folder.rstrip("/")) + 1
    for parent, _, names in os.walk(folder, followlinks=True):
        inside = f"{parent[start:]}/".lstrip("/")
        yield from (inside + name for name in names)


def members(root: str, folder: str) -> Iterator[str]:
    """Path below `folder` of every file in it that DVC counts, in no particular order.

    Raises Problems on a link to a folder (DVC doesn't look behind it, nor do the jobs) and on a
    .dvcignore, which DVC refuses there.
    """
    base = f"{root}/{folder}"
    for parent, folders, files in _walk(root, folder):
        inside = f"{parent[len(base) + 1 :]}/".lstrip("/")
        for name in folders:
            if os.path.islink(f"{parent}/{name}"):  # noqa: PTH114 - thousands of paths
                what, advice = "a link to a folder, whose files would not count", "put them here"
                raise Problems([Problem(Where(f"{folder}/{inside}{name}"), what, advice)])
        if IGNORE in files:
            what = f"DVC takes no {IGNORE} inside a folder that is an input"
            advice = f"write its lines into {Path(folder).parent.as_posix()}/{IGNORE}"
            raise Problems([Problem(Where(f"{folder}/{inside}{IGNORE}"), what, advice)])
        yield from (inside + name for name in files)


def _walk(root: str, folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """os.walk without what DVC leaves out. Source: dvc.ignore.DvcIgnoreFilter."""
    if _is_filtered(root, folder):
        # It takes a third of a second to import, and few projects have a .dvcignore.
        from dvc.fs import localfs  # type: ignore[import-untyped]
        from dvc.ignore import DvcIgnoreFilter  # type: ignore[import-untyped]

        yield from DvcIgnoreFilter(localfs, root).walk(localfs, f"{root}/{folder}")
        return
    for parent, folders, files in os.walk(f"{root}/{folder}"):
        folders[:] = [name for name in folders if name not in _CONTROL]
        yield parent, folders, [name for name in files if name != ".git"]


@functools.cache  # a run asks for the same few again and again
def _is_filtered(root: str, folder: str) -> bool:
    """Whether a .dvcignore above the folder says anything; `dvc init` makes one of comments."""
    above = os.path.dirname(folder)  # noqa: PTH120
    try:
        with open(f"{root}/{above}/{IGNORE}", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            if any(line.strip() and not line.strip().startswith("#") for line in file):
                return True
    except OSError:
        pass
    return above not in ("", "/") and _is_filtered(root, above)


def listing(members: Mapping[str, str]) -> bytes:
    """DVC's `.dir` object: JSON of the members' md5 and path, sorted by path."""
    rows = [{"md5": md5, "relpath": path} for path, md5 in sorted(members.items())]
    return json.dumps(rows, sort_keys=True).encode()


def folder_content(members: Mapping[str, str], size: int) -> Content:
    """members: path below the folder -> MD5. size: bytes of them all."""
    md5 = hashlib.md5(listing(members), usedforsecurity=False).hexdigest()
    return Content(md5 + ".dir", size, len(members))


class Read(NamedTuple):
    """A file that was read whole: its MD5, and its state and the time before that."""

    md5: str
    status: os.stat_result
    asked_ns: int


class Contents:
    """Content by path, remembered by the file's times and size.

    memory: file that keeps what was hashed between runs.
    """

    def __init__(self, root: Path, memory: Path) -> None:
        self.root = root
        self._base = f"{root}/"  # joining thousands of Paths takes longer than asking for them
        self._shelf = Shelf(memory, FORM)
        self._known: dict[str, dict[str, list[Any]]] = {}  # by what is kept together
        self._changed: set[str] = set()
        self._lock = threading.Lock()

    def of(self, path: str) -> Content | None:
        """Content of a path relative to the project; None where there is nothing."""
        try:
            return self._of_file(path, os.stat(self._base + path))
        except IsADirectoryError:
            return self._of_folder(path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def learn(self, path: str, reads: Mapping[str, Read]) -> None:
        """Remember files that were read elsewhere and then moved to `path`, or below it.

        To move a file changes none of what is compared here. To write to it changes its mtime,
        which was older than a tick of the clock before the file was read.
        """
        for below, (md5, was, asked_ns) in reads.items():
            place = f"{path}/{below}" if below else path
            try:
                now = os.stat(self._base + place)
            except FileNotFoundError:  # it may have been removed again
                continue
            age_ns = asked_ns - was.st_mtime_ns
            is_told = age_ns > seal.racy_ns(was.st_mtime_ns, was.st_ctime_ns)
            if is_told and bytes_of(now) == bytes_of(was):
                self._remember(place, md5, _stamp(now))

    def save(self) -> None:
        with self._lock:
            for name in self._changed:
                self._shelf.put(name, self._known[name])
            self._changed.clear()
            self._shelf.save()

    def _of_folder(self, folder: str) -> Content:
        found = {}
        for below in members(str(self.root), folder):
            content = self.of(f"{folder}/{below}")
            if content is None:
                what, advice = "a link that leads nowhere", "mend or remove it"
                raise Problems([Problem(Where(f"{folder}/{below}"), what, advice)])
            found[below] = content
        md5s = {below: content.md5 for below, content in found.items()}
        content = folder_content(md5s, sum(content.size for content in found.values()))
        self._remember_pictures(content.md5, md5s)
        return content

    def pictures(self, md5: str) -> str | None:
        """MD5 of what a folder of that MD5 holds of pictures; None where it was not looked into."""
        return next(iter(self._beside(_PICTURES + md5).get(_PICTURES + md5, ())), None)

    def _remember_pictures(self, md5: str, members: Mapping[str, str]) -> None:
        key = _PICTURES + md5
        if key in self._beside(key):
            return
        held = {path: each for path, each in members.items() if is_image(path.rpartition("/")[2])}
        with self._lock:
            self._put(key, [folder_content(held, 0).md5])

    def _of_file(self, path: str, status: os.stat_result) -> Content:
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(path)
        stamp = _stamp(status)
        known = self._beside(path).get(path)
        is_executable = bool(status.st_mode & stat.S_IXUSR)
        if known is not None and known[1:] == stamp:
            return Content(known[0], status.st_size, None, is_executable)
        asked_ns, changed_ns = time.time_ns(), max(status.st_mtime_ns, status.st_ctime_ns)
        if asked_ns - changed_ns < _WRITTEN_NS:
            _write_back(self._base + path)
        md5 = md5_of(self.root / path)
        # Of a younger file the stamp can't tell whether it was changed again: it is hashed anew.
        if asked_ns - changed_ns > seal.racy_ns(status.st_mtime_ns, status.st_ctime_ns):
            self._remember(path, md5, stamp)
        return Content(md5, status.st_size, None, is_executable)

    def distrust(self) -> None:
        """Hash everything again, whatever the stamps say."""
        with self._lock:
            self._shelf.keep([_PICTURES])  # what is known by content is no matter of stamps
            self._known.clear()
            self._changed.clear()

    def is_stamp_of(self, path: str, stamp: list[int] | None) -> bool:
        """Whether `stamp` is what the path had when it was hashed, or it never was."""
        known = self._beside(path).get(path)
        return known is None or known[1:] == stamp

    def _remember(self, path: str, md5: str, stamp: list[int]) -> None:
        with self._lock:
            self._put(path, [md5, *stamp])

    def _put(self, path: str, held: list[Any]) -> None:
        self._beside(path)[path] = held
        self._changed.add(together(path))

    def _beside(self, path: str) -> dict[str, list[Any]]:
        """What is known of a path and of those that are kept together with it."""
        name = together(path)
        if name not in self._known:
            held = self._shelf.get(name)
            self._known.setdefault(name, held if isinstance(held, dict) else {})
        return self._known[name]


def together(path: str) -> str:
    """Under which name the memory keeps a path: a run with one model to build decodes no other."""
    if path.startswith(_PICTURES):
        return _PICTURES
    return "/".join(path.split("/", 2)[:2]) if path.startswith("models/") else ""


def _stamp(status: os.stat_result) -> list[int]:
    """As seal.stamp. The device: another file system may be mounted in place."""
    return [
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_size,
        status.st_ino,
        status.st_dev,
    ]


def _write_back(path: str) -> None:
    """Write a file's dirty pages to the disk.

    To store into a page by a shared mapping changes the file's times only while the page is clean:
    until it is written, further stores would not show. Linux alone has the call; without it, and on
    file systems in memory or on a network, they don't (docs/dvc.md).
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _sync_file_range()(file, 0, 0, _SYNC_FILE_RANGE)
    finally:
        os.close(file)


@functools.cache
def _sync_file_range() -> Callable[[int, int, int, int], Any]:
    """The C library's: os.fsync would also commit the file system's journal, 5 ms a file."""
    import ctypes

    try:
        call = ctypes.CDLL(None).sync_file_range
    except AttributeError:
        return lambda *_: None
    call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return call


def bytes_of(status: os.stat_result) -> tuple[int, ...]:
    """What stays the same as long as nobody writes to the file."""
    return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev)
