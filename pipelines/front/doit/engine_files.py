"""The files of an unpacked engine, held against the wheel that npumake.txt pins.

`./doit` writes SUMS when it unpacks them, and `pinned` as the last: what was changed since has a
later ctime, which nobody can set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pipelines.files import atomic
from quant.fault import Fault
from quant.sha256 import sha256_of

SUMS, PINNED = "SHA256SUMS", "pinned"


def require_unchanged(engine: Path) -> None:
    """Raises Fault, which names a file that is not the wheel's."""
    if not (engine / SUMS).is_file():  # an older ./doit unpacked it
        return
    then = (engine / PINNED).stat().st_ctime_ns
    now = _ctimes(engine)
    sums = _sums(engine)
    doubtful = [name for name, ctime in now.items() if ctime > then]
    found = [
        *(f"{name} is missing" for name in sorted(sums.keys() - now.keys())),
        *(told for name in sorted(doubtful) if (told := _change(engine, name, sums.get(name)))),
    ]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise Fault(
            f"the engine is not the one that npumake.txt pins: {found[0]}{more}",
            f"rm -r {os.path.relpath(engine)}: the next ./doit fetches it again; what you want to "
            "change in it, change in a checkout of npumake, and pin the wheel of that",
        )
    if doubtful:  # a copy of the repository has new times
        atomic.remember(engine / PINNED, (engine / PINNED).read_bytes())


def _change(engine: Path, name: str, digest: str | None) -> str | None:
    if digest is None:
        return f"{name} was added"
    return None if sha256_of(engine / name) == digest else f"{name} was changed"


def _ctimes(engine: Path) -> dict[str, int]:
    """Of every file but those that Python and ./doit make."""
    return {
        name: entry.stat().st_ctime_ns
        for name, entry in _below(str(engine), "")
        if name not in (SUMS, PINNED) and not name.startswith(f".{PINNED}.")
    }


def _below(engine: str, folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(f"{engine}/{folder}") as entries:
        for entry in entries:
            if entry.name == "__pycache__":
                continue
            if entry.is_dir():
                yield from _below(engine, f"{folder}{entry.name}/")
            else:
                yield folder + entry.name, entry


def _sums(engine: Path) -> dict[str, str]:
    """File below the engine -> its SHA-256."""
    lines = (engine / SUMS).read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
