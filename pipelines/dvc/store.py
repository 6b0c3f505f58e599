"""DVC's cache: objects by content, and the run-cache that knows which facts gave which outputs."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pipelines.dvc import lock, lock_text
from pipelines.dvc.lock import LockEntry
from pipelines.dvc.repo import Cache
from pipelines.dvc.stage import DvcStage
from pipelines.files import atomic, confined, console
from pipelines.files.confined import Refused
from pipelines.record import seal
from pipelines.record.digest import (
    Content,
    Read,
    bytes_of,
    files_below,
    folder_content,
    listing,
    md5_of,
)
from pipelines.record.facts import Facts
from pipelines.record.step import Step

_CHUNK = 1 << 20
_FICLONE = 0x40049409  # linux/fs.h


class Damaged(Exception):
    """A cache object whose content is not what its name says, or a listing that is none."""


@dataclass(frozen=True)
class Taken:
    """What is kept now. reads: path below what was taken -> its reading; `""` for a file itself."""

    content: Content
    reads: Mapping[str, Read]


class Store:
    """Objects by content in files/md5, runs by facts in runs, both below the cache's folder."""

    def __init__(self, cache: Cache) -> None:
        self.objects = cache.objects
        self.runs = cache.runs
        self._links = cache.links
        # DVC's modes of a cache that a group shares. Source: dvc_data.hashfile.db.local.
        self._folder_mode = 0o2775 if cache.is_shared else None
        self._run_mode = 0o664 if cache.is_shared else None
        self._sound: dict[str, tuple[int, ...]] = {}  # object -> its state when it was read whole
        self._told = set[str]()  # files whose refusal was told

    def take(self, path: Path) -> Taken:
        """Keep a file, or a folder's members and its listing.

        Each file is read once: what is hashed is what is kept. `path` becomes a link to it where
        the repository asks for links.
        """
        place = str(path)
        if not os.path.isdir(place):  # noqa: PTH112
            read = self._take_file(place)
            return Taken(Content(read.md5, read.status.st_size), {"": read})
        reads = {below: self._take_file(f"{place}/{below}") for below in files_below(place)}
        members = {below: read.md5 for below, read in reads.items()}
        content = folder_content(members, sum(read.status.st_size for read in reads.values()))
        self._add_bytes(listing(members), content.md5)
        return Taken(content, reads)

    def has(self, content: Content) -> bool:
        """Whether every object of the content is there, and its listing whole."""
        objects = self.objects
        try:
            return all(
                os.path.isfile(f"{objects}/{md5[:2]}/{md5[2:]}")  # noqa: PTH113 - thousands of them
                for md5 in self._parts(content)
            )
        except (OSError, Damaged):
            return False

    def is_whole(self, content: Content) -> bool:
        """As `has`, and every object is what its name says."""
        try:
            return all(self._is_sound(md5) for md5 in self._parts(content))
        except (OSError, Damaged):
            return False

    def _is_sound(self, md5: str) -> bool:
        """Raises Damaged, and drops the object, where it is not; OSError where there is none."""
        if md5.endswith(".dir"):  # its members are known
            return True
        place = self._object(md5)
        status, asked_ns = place.stat(), time.time_ns()
        if self._sound.get(md5) == bytes_of(status):
            return True
        if md5_of(place) != md5:
            self._drop(md5)
        if asked_ns - status.st_mtime_ns > seal.racy_ns(status.st_mtime_ns, status.st_ctime_ns):
            self._sound[md5] = bytes_of(status)
        return True

    def folders(self, content: Content) -> set[str]:
        """The folders that hold the content's objects: their times tell of a lost one."""
        return {f"{self.objects}/{md5[:2]}" for md5 in self._parts(content)}

    def restore(self, content: Content, path: Path) -> None:
        """Write the content to `path`, replacing what is there. Raises Damaged, OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            made = aside / path.name
            if not _is_folder(content):
                self._copy_out(content.md5, made)
            else:
                made.mkdir()
                for below, md5 in self._members(content.md5).items():
                    (made / below).parent.mkdir(parents=True, exist_ok=True)
                    self._copy_out(md5, made / below)
            replace(made, path)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def adopt(self, file: Path, md5: str) -> bool:
        """Move a file that came from elsewhere into the cache, if its content is `md5`'s."""
        if md5_of(file) != md5.removesuffix(".dir"):
            return False
        file.chmod(0o444)
        self._put(str(file), md5)
        return True

    def adopt_run(self, file: Path, place: Path) -> None:
        """Copy an entry of another run-cache to its place in this one."""
        atomic.write(
            place,
            file.read_bytes(),
            is_synced=False,
            mode=self._run_mode,
            folder_mode=self._folder_mode,
        )

    def remember(self, step: Step, entry: LockEntry) -> None:
        """Note in the run-cache that these facts gave these outputs."""
        stage = entry.stage(step)
        # Not synced: what a power cut tore is not read as an entry, and the step runs again.
        file = f"{self._run_folder(stage.key)}/{stage.value}"
        atomic.write(
            file,
            stage.document.encode(),
            is_synced=False,
            mode=self._run_mode,
            folder_mode=self._folder_mode,
        )

    def forget(self, step: Step, entry: LockEntry) -> None:
        """Drop from the run-cache what these facts gave."""
        shutil.rmtree(self._run_folder(entry.stage(step).key), ignore_errors=True)

    def known(self, step: Step, facts: Facts) -> Iterator[LockEntry]:
        """All that these facts gave before, whether or not its objects are here."""
        outs = {path: Content("", 0) for path in step.outputs.values()}
        folder = self._run_folder(LockEntry(facts, outs).stage(step).key)
        for file in sorted(Path(folder).glob("*")):
            try:
                entry = _run_of(step, file)
            except Refused as error:
                self._refuse(str(file), error)
            except (KeyError, TypeError, AttributeError, OSError, ValueError):
                continue  # damaged: it is only a cache
            else:
                if entry.outs.keys() == outs.keys():
                    yield entry

    def lacks(self, content: Content) -> set[str]:
        """MD5s that have to be fetched for `has` to hold; of a folder, its listing first."""
        if self.has(content):
            return set()
        try:
            return {md5 for md5 in self._parts(content) if not self._object(md5).is_file()}
        except (OSError, Damaged):
            return {content.md5}

    def place(self, md5: str) -> Path:
        """Where the object of an MD5 is, or would be."""
        return self._object(md5)

    def _object(self, md5: str) -> Path:
        return Path(f"{self.objects}/{md5[:2]}/{md5[2:]}")

    def _run_folder(self, key: str) -> str:
        return f"{self.runs}/{key[:2]}/{key}"

    def _parts(self, content: Content) -> Iterator[str]:
        yield content.md5
        if _is_folder(content):
            yield from self._members(content.md5).values()

    def _members(self, md5: str) -> dict[str, str]:
        """A listing's path -> MD5. Raises Damaged, and drops the object, where it is not whole."""
        data = self._object(md5).read_bytes()
        if hashlib.md5(data, usedforsecurity=False).hexdigest() + ".dir" != md5:
            self._drop(md5)
        try:
            return _rows_of(data)
        except Refused as error:
            self._refuse(str(self._object(md5)), error)
            raise Damaged(f"cache object {md5}: {error}") from None

    def _refuse(self, file: str, error: Refused) -> None:
        """Name a file that is whole, and that nobody who wrote it by ./doit or DVC could."""
        if file not in self._told:
            self._told.add(file)
            console.say(f"{file} is not used: {error}", "yellow")

    def _drop(self, md5: str) -> NoReturn:
        try:
            self._object(md5).unlink(missing_ok=True)
        except OSError:  # a cache that can't be written: it stays, and is never used
            pass
        raise Damaged(f"cache object {md5} is damaged")

    def _take_file(self, path: str) -> Read:
        read = self._copy_in(path)
        if self._links[0] in ("hardlink", "symlink"):
            place = Path(path)
            place.unlink()
            self._link(read.md5, place)
        return read

    def _copy_in(self, path: str) -> Read:
        """Make the object of a file, hashing it on the way."""
        try:
            return self._copy_small(path) or self._copy_large(path)
        except PermissionError:
            return self._require_kept(path)

    def _copy_small(self, path: str) -> Read | None:
        """Make the object of a file that one read takes whole. None where it is larger."""
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status, asked_ns = os.fstat(file), time.time_ns()
            data = os.read(file, _CHUNK) if status.st_size < _CHUNK else None
        finally:
            os.close(file)
        if data is None or len(data) != status.st_size:
            return None
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        # Made where it stays: ext4 looks for a new file's inode near its folder's, and thousands
        # that are made in one folder and moved out of it take it twice as long.
        self._write_object(f"{self.objects}/{md5[:2]}/{md5[2:]}", data)
        return Read(md5, status, asked_ns)

    def _copy_large(self, path: str) -> Read:
        copy, aside = self._aside()
        try:
            try:
                read = _copied(path, copy)
                # DVC trusts read-only objects without hashing them again.
                os.fchmod(copy, 0o444)
            finally:
                os.close(copy)
            self._put(aside, read.md5)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
        return read

    def _aside(self) -> tuple[int, str]:
        """A new file beside the objects' folders."""
        try:
            return atomic.unused(f"{self.objects}/tmp")
        except FileNotFoundError:
            atomic.make_folder(str(self.objects), self._folder_mode)
            return atomic.unused(f"{self.objects}/tmp")

    def _put(self, aside: str, md5: str) -> None:
        folder = f"{self.objects}/{md5[:2]}"
        try:
            os.replace(aside, f"{folder}/{md5[2:]}")
        except FileNotFoundError:
            atomic.make_folder(folder, self._folder_mode)
            os.replace(aside, f"{folder}/{md5[2:]}")

    def _require_kept(self, path: str) -> Read:
        """Read a file whose object a cache that can't be written has. Raises OSError."""
        read = _copied(path, None)
        target = self._object(read.md5)
        if not target.is_file() or md5_of(target) != read.md5:
            raise PermissionError(errno.EACCES, "the cache can't be written", str(self.objects))
        return read

    def _add_bytes(self, data: bytes, md5: str) -> None:
        target = self._object(md5)
        if not target.is_file() or target.read_bytes() != data:
            self._write_object(target, data)

    def _write_object(self, target: Path | str, data: bytes) -> None:
        """Not synced: `has` and `restore` look into what they use."""
        atomic.write(target, data, is_synced=False, mode=0o444, folder_mode=self._folder_mode)

    def _copy_out(self, md5: str, path: Path) -> None:
        self._link(md5, path)
        is_read = self._sound.get(md5) == bytes_of(self._object(md5).stat())
        if not is_read and md5_of(path) != md5:
            self._drop(md5)

    def _link(self, md5: str, path: Path) -> None:
        """Make `path` from the object by the first type of link that works here."""
        source = self._object(md5)
        for link in self._links:
            if link == "symlink":
                path.symlink_to(source.resolve())
                return
            if link == "hardlink" and _is_hardlinked(source, path):
                return
            if link == "reflink" and _is_cloned(source, path):
                return
        shutil.copyfile(source, path)


def _copied(path: str, copy: int | None) -> Read:
    """Read a file, and write its bytes to `copy`."""
    digest = hashlib.md5(usedforsecurity=False)
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status, asked_ns = os.fstat(file), time.time_ns()
        length = min(status.st_size + 1, _CHUNK)  # os.read makes room for all that it is asked for
        while chunk := os.read(file, length):
            digest.update(chunk)
            if copy is not None:
                atomic.write_all(copy, chunk)
    finally:
        os.close(file)
    return Read(digest.hexdigest(), status, asked_ns)


def _run_of(step: Step, file: Path) -> LockEntry:
    """An entry of the run-cache. Raises Refused, or what a damaged one raises."""
    text = file.read_text(encoding="utf-8")
    stage = lock_text.load_document(text)
    told = DvcStage("", stage)
    # The name tells of all but sizes, which stand last in a row: a cut shortens them.
    if told.value != file.name or not text.endswith("\n"):
        raise ValueError(f"{file} is damaged")
    if told.key != file.parent.name:
        raise Refused("it tells of another run than its folder's name")
    return lock.read_entry(stage, step)


def _rows_of(data: bytes) -> dict[str, str]:
    """A listing's path -> MD5, its paths inside the folder and apart. Raises Refused."""
    try:
        rows = [(row["relpath"], row["md5"]) for row in json.loads(data)]
    except (ValueError, KeyError, TypeError):
        raise Refused("it is no listing of a folder") from None
    confined.require_apart([confined.require_below(path) for path, _ in rows])
    return {path: confined.require_md5(md5, of_folder=False) for path, md5 in rows}


def _is_folder(content: Content) -> bool:
    return content.md5.endswith(".dir")


def replace(made: Path, path: Path) -> None:
    """Move `made` to `path`, whatever is there now."""
    if made.lstat().st_dev == path.parent.stat().st_dev:
        _move(made, path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        copy = aside / path.name
        if made.is_dir():
            shutil.copytree(made, copy, symlinks=True)
        else:
            shutil.copy2(made, copy, follow_symlinks=False)
        _move(copy, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _move(made: Path, path: Path) -> None:
    """As `replace`, on one file system."""
    if path.is_dir() and not path.is_symlink():
        trash = Path(tempfile.mkdtemp(prefix=".old-", dir=path.parent))
        os.replace(path, trash / path.name)
        os.replace(made, path)
        shutil.rmtree(trash, ignore_errors=True)
    else:
        if made.is_dir():
            path.unlink(missing_ok=True)
        os.replace(made, path)


def _is_hardlinked(source: Path, path: Path) -> bool:
    try:
        os.link(source, path)
    except OSError:  # another file system, or one without links
        return False
    return True


def _is_cloned(source: Path, path: Path) -> bool:
    with source.open("rb") as old, path.open("wb") as new:
        try:
            fcntl.ioctl(new, _FICLONE, old.fileno())
        except OSError:  # only btrfs, XFS and a few others share blocks
            return False
    return True
