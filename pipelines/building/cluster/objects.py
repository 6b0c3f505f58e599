"""Objects by MD5 on a worker: those of its checkout's DVC cache, and those that came since."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pipelines.building.cluster.order import Files
from pipelines.dvc.remote import PullError, Remote
from pipelines.dvc.repo import Cache, cache
from pipelines.dvc.store import Store
from pipelines.files import console
from pipelines.files.confined import Refused, require_count, require_md5
from pipelines.record.digest import Content

CHUNK = 1 << 22  # bytes of a message
Part = tuple[str, int, int]  # MD5, offset, bytes


class Objects:
    """What came is kept apart from DVC's cache: it is nobody's but the cluster's.

    fetches: what is lacking is looked for in the checkout's default DVC remote.
    """

    def __init__(self, root: Path, *, fetches: bool = False) -> None:
        self._root = root
        self._fetches = fetches
        self._remote: Remote | None = None
        self._asking = threading.Lock()
        self.store = Store(cache(root))
        home = root / ".npumake" / "cluster"
        self._sent = Store(Cache(home / "cache", ("copy",)))
        self._incoming = home / "incoming" / str(os.getpid())
        self._incoming.mkdir(parents=True, exist_ok=True)

    def find(self, md5: str, size: int) -> Path | None:
        """The object, whole; None where it is not here."""
        for store in (self._sent, self.store):
            if store.is_whole(Content(md5, size)):
                return store.place(md5)
        return None

    def lacks(self, files: Iterable[Files]) -> tuple[str, ...]:
        wanted = {md5: size for each in files for md5, size in each.values()}
        return tuple(md5 for md5, size in wanted.items() if self.find(md5, size) is None)

    def fetch(self, md5s: Iterable[str]) -> None:
        """Look for objects in the remote. Where it fails, that is told, and it is asked no more."""
        with self._asking:
            if not self._fetches:
                return
            try:
                if self._remote is None:
                    self._remote = Remote(self._root, self._sent).__enter__()
                before = self._remote.count
                self._remote.fetch(md5s)
            except PullError as error:
                self._fetches = False
                console.say(f"{error.what}; what is lacking comes from ./doit --cluster", "yellow")
                return
            if found := self._remote.count - before:
                console.say(f"{found} files fetched from {self._remote.name}", "dim")

    def close(self) -> None:
        with self._asking:
            self._fetches = False
            if self._remote is not None:
                self._remote.__exit__()

    def put(self, sender: str, md5: str, offset: int, size: int, data: bytes) -> None:
        """A part of an object; with the last, what came is kept if it is what its name says.

        Raises Refused where it is not.
        """
        if not sender.isalnum():
            raise Refused("it tells no sender")
        file = self._incoming / f"{sender}-{require_md5(md5, of_folder=False)}"
        with file.open("r+b" if offset else "wb") as opened:
            opened.seek(require_count(offset))
            opened.write(data)
        if offset + len(data) >= size and not self._sent.adopt(file, md5):
            file.unlink()
            raise Refused(f"what came as {md5} is another file")

    def get(self, md5: str, offset: int, length: int) -> bytes:
        """A part of an object. Raises OSError where it is not here."""
        require_md5(md5, of_folder=False)
        for store in (self.store, self._sent):
            try:
                with store.place(md5).open("rb") as file:
                    file.seek(offset)
                    return file.read(min(length, CHUNK))
            except FileNotFoundError:
                continue
        raise FileNotFoundError(md5)

    def lay_out(self, folder: Path, inputs: Mapping[str, tuple[str, Files]]) -> None:
        """Links to the objects, below a working folder. Raises OSError where one is not here."""
        for path, files in inputs.values():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            if "" not in files:
                (folder / path).mkdir()
            for below, (md5, size) in files.items():
                place = folder / path / below if below else folder / path
                place.parent.mkdir(parents=True, exist_ok=True)
                found = self.find(md5, size)
                if found is None:
                    raise FileNotFoundError(md5)
                place.symlink_to(found)


def parts(wanted: Mapping[str, int]) -> Iterator[list[Part]]:
    """What to ask for in one message each, of objects by MD5 and size."""
    batch: list[Part] = []
    room = CHUNK
    for md5, size in wanted.items():
        offset = 0
        while True:
            length = min(size - offset, CHUNK)
            if length > room:
                yield batch
                batch, room = [], CHUNK
            batch.append((md5, offset, length))
            room -= length
            offset += length
            if offset >= size:
                break
    if batch:
        yield batch
