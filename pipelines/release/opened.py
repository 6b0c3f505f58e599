"""Reading an archive that anybody may have made: nothing is unpacked, and nothing is trusted."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from quant.fault import Fault

MOST_FILES = 20_000
MOST_BYTES = 16 << 30  # unpacked
_MOST_AT_ONCE = 64 << 20  # of tar's own headers
_CHUNK = 1 << 20
_AGAIN = "get the archive again, from whom it was released by"


@dataclass(frozen=True)
class Member:
    """kept: the content, where it was asked for."""

    sha256: str
    md5: str
    kept: bytes | None


def read(place: Path, keeps: Callable[[str, int], bool]) -> tuple[str, dict[str, Member]]:
    """The archive's own folder, and path below it -> member.

    keeps: whether to keep the content of a path with so many bytes. Raises Fault on what is no
    archive, is cut off or damaged, and on members that no release has: links, paths that lead out,
    a path twice, more or longer files than any release. Raises OSError.
    """
    found: dict[str, Member] = {}
    folder = ""
    try:
        with place.open("rb") as file, gzip.GzipFile(fileobj=file) as packed:
            for told, content in _members(_Limited(packed, place.name), place.name):
                path = _path(told, place.name)
                top, below = path.parts[0], "/".join(path.parts[1:])
                if folder not in ("", top):
                    raise Fault(f"{place.name} has several top folders; a release has one", _AGAIN)
                folder = top
                if below in found:
                    raise Fault(f"{place.name} holds `{told.name}` twice", _AGAIN)
                found[below] = _member(content, keeps(below, told.size))
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, UnicodeError) as error:
        raise Fault(f"{place.name} is damaged or no .tar.gz: {error}", _AGAIN) from None
    if not found:
        raise Fault(f"{place.name} is empty", _AGAIN)
    return folder, found


def _members(packed: _Limited, name: str) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    with tarfile.open(mode="r:", fileobj=packed, errorlevel=2) as tar:  # type: ignore[call-overload]
        for count, told in enumerate(tar):
            if count >= MOST_FILES:
                raise Fault(f"{name} holds more than {MOST_FILES:,} files", _AGAIN)
            if not told.isreg() or told.issparse():
                raise Fault(f"{name}: `{told.name}` is no plain file", _AGAIN)
            content = tar.extractfile(told)
            assert content is not None, "a plain file"
            yield told, content
            tar.members.clear()


def _path(told: tarfile.TarInfo, name: str) -> PurePosixPath:
    """The member's path. It is only a name here, and yet a wrong one is nobody's mistake."""
    path = PurePosixPath(told.name)
    is_plain = str(path) == told.name and told.name.isprintable() and "\\" not in told.name
    if path.is_absolute() or ".." in path.parts or len(path.parts) < 2 or not is_plain:
        raise Fault(f"{name}: `{told.name!r}` is no path that a release has", _AGAIN)
    return path


def _member(content: IO[bytes], is_kept: bool) -> Member:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    kept = []
    while chunk := content.read(_CHUNK):
        sha256.update(chunk)
        md5.update(chunk)
        if is_kept:
            kept.append(chunk)
    return Member(sha256.hexdigest(), md5.hexdigest(), b"".join(kept) if is_kept else None)


class _Limited:
    """What tarfile reads from: no more than MOST_BYTES, and not too much at once."""

    def __init__(self, packed: gzip.GzipFile, name: str) -> None:
        self._packed, self._name = packed, name

    def read(self, length: int = -1) -> bytes:
        if not 0 <= length <= _MOST_AT_ONCE:
            raise Fault(f"{self._name} has a header of {length:,} bytes", _AGAIN)
        return self._checked(self._packed.read(length))

    def seek(self, place: int) -> int:
        if place > MOST_BYTES:
            self._refuse()
        return self._packed.seek(place)

    def tell(self) -> int:
        return self._packed.tell()

    def _checked(self, data: bytes) -> bytes:
        if self._packed.tell() > MOST_BYTES:
            self._refuse()
        return data

    def _refuse(self) -> None:
        raise Fault(f"{self._name} unpacks to more than {MOST_BYTES:,} bytes", _AGAIN)
