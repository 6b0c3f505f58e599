"""DVC's cache: objects by content, and the run-cache that knows which facts gave which outputs."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from pipelines import atomic, lock
from pipelines.content import Content, listing, md5_of
from pipelines.dvc_repo import Cache
from pipelines.facts import Facts
from pipelines.lock import Entry
from pipelines.step import Step

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


_FICLONE = 0x40049409  # linux/fs.h


class Damaged(Exception):
    """A cache object whose content is not what its name says."""


class Store:
    """Objects by content in files/md5, runs by facts in runs, both below the cache's folder."""

    def __init__(self, cache: Cache) -> None:
        self._objects = cache.objects
        self._runs = cache.runs
        self._links = cache.links

    def add(self, path: Path, content: Content, members: Mapping[str, str] | None) -> None:
        """Keep a file, or a folder's members and its listing; `path` becomes a link to what is kept
        where the repository asks for links.
        """
        if members is None:
            self._add_file(path, content.md5)
            return
        for below, md5 in members.items():
            self._add_file(path / below, md5)
        self._add_bytes(listing(members), content.md5)

    def has(self, content: Content) -> bool:
        """Whether every object of the content is there, and its listing whole."""
        try:
            return all(self._object(md5).is_file() for md5 in self._parts(content))
        except (OSError, Damaged):
            return False

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

    def remember(self, step: Step, entry: Entry) -> None:
        """Note in the run-cache that these facts gave these outputs."""
        stage = lock.to_stage(entry, step.folder)
        folder = self._run_folder(_key(stage))
        atomic.write(folder / _digest(stage), lock.dvc_text(stage).encode())

    def forget(self, step: Step, entry: Entry) -> None:
        """Drop from the run-cache what these facts gave."""
        shutil.rmtree(self._run_folder(_key(lock.to_stage(entry, step.folder))), ignore_errors=True)

    def recall(self, step: Step, facts: Facts) -> Entry | None:
        """What these facts gave before, if every object of it is still here."""
        for entry in self.known(step, facts):
            if all(self.has(content) for content in entry.outs.values()):
                return entry
        return None

    def known(self, step: Step, facts: Facts) -> Iterator[Entry]:
        """All that these facts gave before, whether or not its objects are here."""
        outs = {path: Content("", 0) for path in step.outputs.values()}
        folder = self._run_folder(_key(lock.to_stage(Entry(facts, outs), step.folder)))
        for file in sorted(folder.glob("*")):
            try:
                entry = lock.from_stage(yaml.load(file.read_text(), _Loader), step.folder)
            except (yaml.YAMLError, KeyError, TypeError, AttributeError, OSError, ValueError):
                continue  # damaged: it is only a cache
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

    def _object(self, md5: str) -> Path:
        return self._objects / md5[:2] / md5[2:]

    def _run_folder(self, key: str) -> Path:
        return self._runs / key[:2] / key

    def _parts(self, content: Content) -> Iterator[str]:
        yield content.md5
        if _is_folder(content):
            yield from self._members(content.md5).values()

    def _members(self, md5: str) -> dict[str, str]:
        """A listing's path -> MD5. Raises Damaged, and drops the object, where it is not whole."""
        data = self._object(md5).read_bytes()
        if hashlib.md5(data, usedforsecurity=False).hexdigest() + ".dir" != md5:
            self._drop(md5)
        return {row["relpath"]: row["md5"] for row in json.loads(data)}

    def _drop(self, md5: str) -> NoReturn:
        try:
            self._object(md5).unlink(missing_ok=True)
        except OSError:  # a cache that can't be written: it stays, and is never used
            pass
        raise Damaged(f"cache object {md5} is damaged")

    def _add_file(self, path: Path, md5: str) -> None:
        self._keep(path, md5)
        if self._links[0] in ("hardlink", "symlink"):
            path.unlink()
            self._link(md5, path)

    def _keep(self, path: Path, md5: str) -> None:
        target = self._object(md5)
        if target.is_file() and md5_of(target) == md5:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=target.parent)
        os.close(handle)
        try:
            shutil.copyfile(path, aside)
            if md5_of(Path(aside)) != md5:
                raise Damaged(f"{path} changed while it was copied to the cache")
            os.chmod(aside, 0o444)  # DVC trusts read-only objects without hashing them again
            os.replace(aside, target)
        finally:
            Path(aside).unlink(missing_ok=True)

    def _add_bytes(self, data: bytes, md5: str) -> None:
        target = self._object(md5)
        if not target.is_file() or target.read_bytes() != data:
            atomic.write(target, data)
            target.chmod(0o444)

    def _copy_out(self, md5: str, path: Path) -> None:
        self._link(md5, path)
        if md5_of(path) != md5:
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


def _key(stage: Mapping[str, Any]) -> str:
    """DVC's run-cache key: command, dependencies, parameters and the outputs' paths."""
    facts = {**stage, "outs": [row["path"] for row in stage["outs"]]}
    return _digest(facts)


def _digest(stage: Mapping[str, Any]) -> str:
    text = json.dumps(_without_sizes(stage), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_sizes(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_sizes(v) for k, v in value.items() if k not in ("size", "nfiles")}
    return [_without_sizes(item) for item in value] if isinstance(value, list) else value
