"""The DVC repository around the project: its cache's place and link type, and its lock."""

from __future__ import annotations

import configparser
import fcntl
import functools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.files import console
from pipelines.files.where import Problem, Problems, Where, did_you_mean
from quant.fault import Fault

LINKS = ("reflink", "copy", "hardlink", "symlink")
_SILENT_S = 0.5  # DVC's commands hold the lock for less, most of the time
_PATIENCE_S = 600.0


class RepositoryLocked(Fault):
    """Another process holds DVC's lock for longer than we wait."""


@dataclass(frozen=True)
class Cache:
    """links: how a workspace file is made from an object, the first that works is taken."""

    folder: Path
    links: tuple[str, ...]
    is_shared: bool = False  # among users of a group

    @property
    def objects(self) -> Path:
        return self.folder / "files" / "md5"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"


def cache(root: Path) -> Cache:
    """The cache that DVC's configuration names: the system's, the user's and the project's.

    Raises Problems on a link type that DVC does not know.
    Source: https://dvc.org/doc/user-guide/project-structure/configuration#cache
    """
    folder = root / ".dvc" / "cache"
    links: tuple[str, ...] = ("reflink", "copy")
    is_shared = False
    for file in config_files(root):
        options = _options(file, "cache")
        if "dir" in options:  # a relative one counts from the folder of the config file
            folder = file.parent / Path(options["dir"]).expanduser()
        if "type" in options:
            links = _links(options["type"], file)
        if "shared" in options:
            is_shared = options["shared"] == "group"  # the only value that DVC has
    return Cache(folder, links, is_shared)


def config_files(root: Path) -> list[Path]:
    """A later one goes before an earlier one. Source: dvc.dirs, dvc.config."""
    system = os.environ.get("DVC_SYSTEM_CONFIG_DIR") or "/etc/xdg/dvc"
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    user = os.environ.get("DVC_GLOBAL_CONFIG_DIR") or Path(home, "dvc")
    own = root / ".dvc"
    return [Path(system, "config"), Path(user, "config"), own / "config", own / "config.local"]


def has_remote(root: Path) -> bool:
    """Whether DVC's configuration names a remote."""
    sections = [name for file in config_files(root) for name in _configuration(file).sections()]
    return any(name.strip("'").startswith("remote ") for name in sections)


def _options(file: Path, section: str) -> dict[str, str]:
    parser = _configuration(file)
    if not parser.has_section(section):
        return {}
    return {name: value.strip("\"'") for name, value in parser[section].items()}


def _configuration(file: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(file, encoding="utf-8")
    except configparser.Error as error:
        where = Where(str(file), getattr(error, "lineno", None) or 0)
        what = "DVC can't read this configuration"
        raise Problems(
            [Problem(where, what, "correct the line, or see `dvc config --list`")]
        ) from error
    return parser


def _links(value: str, file: Path) -> tuple[str, ...]:
    links = tuple(name.strip() for name in value.split(","))
    for link in links:
        if link not in LINKS:
            what = f"no cache type `{link}`"
            raise Problems([Problem(Where(str(file)), what, did_you_mean(link, LINKS, "DVC has"))])
    return links


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold DVC's repository lock, as DVC does while it writes dvc.lock.

    Source: dvc.lock.Lock: zc.lockfile, an exclusive flock on .dvc/tmp/lock, which then holds the
    process's number. Where it is held we wait, and say for whom.
    Raises RepositoryLocked after ten minutes.
    """
    if _is_hardlinked(root):
        with _locked_by_link(root):
            yield
        return
    place = f"{root}/.dvc/tmp/lock"
    file = _opened(place)
    try:
        _wait_for(file, place)
        length = os.pwrite(file, f" {os.getpid()}\n".encode(), 0)
        os.ftruncate(file, length)
        yield
    finally:
        os.close(file)


@functools.cache  # a run asks once a model
def _is_hardlinked(root: Path) -> bool:
    """Whether DVC locks by linking a file, as where flock does not work (NFS)."""
    is_so = False
    for file in config_files(root):
        core = _options(file, "core")
        if "hardlink_lock" in core:
            is_so = core["hardlink_lock"].lower() in ("true", "yes", "on", "1")
    return is_so


@contextmanager
def _locked_by_link(root: Path) -> Iterator[None]:
    """DVC's own lock of this kind; it takes a third of a second to import."""
    from dvc.lock import LockError, make_lock  # type: ignore[import-untyped]

    place, began = root / ".dvc" / "tmp" / "lock", time.monotonic()
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = make_lock(str(place), tmp_dir=str(place.parent), hardlink_lock=True)
    while True:
        try:
            lock.lock()  # waits for some seconds
            break
        except LockError:
            what = f"DVC's lock {place} is held by another process"
            if time.monotonic() - began > _PATIENCE_S:
                advice = "wait for that command to end; if it died, remove the file"
                raise RepositoryLocked(what, advice) from None
            console.say(f"waiting: {what}", "yellow")
    try:
        yield
    finally:
        lock.unlock()


def _opened(place: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(place, flags, 0o666)
    except FileNotFoundError:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        return os.open(place, flags, 0o666)


def _wait_for(file: int, place: str) -> None:
    began, is_told = time.monotonic(), False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            waited_s = time.monotonic() - began
            if waited_s > _PATIENCE_S:
                raise RepositoryLocked(
                    f"DVC's lock {place} is held {_holder(file)}",
                    "wait for that command to end, then run ./doit again",
                ) from None
            if waited_s > _SILENT_S and not is_told:
                console.say(f"waiting for DVC's lock, held {_holder(file)}", "yellow")
                is_told = True
            time.sleep(0.02)


def _holder(file: int) -> str:
    """`by process 4242 (dvc pull)`, as far as it can be told."""
    number = os.pread(file, 100, 0).decode(errors="replace").strip()
    try:
        words = Path("/proc", number, "cmdline").read_bytes().split(b"\0")
    except OSError:
        return f"by process {number or 'unknown'}"
    shown = " ".join(Path(word.decode(errors="replace")).name for word in words if word)
    return f"by process {number} ({shown[:60]})"


def is_inside_dvc() -> bool:
    """Whether `dvc repro` runs us: then DVC itself caches the outputs and writes dvc.lock."""
    return "DVC_STAGE" in os.environ
