"""What is installed in an environment, held against the records of the wheels it came from.

Every wheel says in RECORD which files it has, and their SHA-256. uv checks a wheel's own hash when
it unpacks it; from then on the files lie in its cache, and environments share them by hard links:
an edit in one of them is one in all.

Source: https://packaging.python.org/en/latest/specifications/recording-installed-packages/
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.files import atomic
from quant.sha256 import sha256_of

MANIFEST = "made"  # in the environment's folder; one without it is not whole


@dataclass(frozen=True)
class Change:
    """One file that is not as it was installed. package: None for a file of no package."""

    package: str | None
    file: str
    what: str

    def __str__(self) -> str:
        whose = f" of {self.package}" if self.package else ""
        return f"{self.file}{whose} {self.what}"


class Installed:
    """An environment's packages. folder: where bin/python is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = next(folder.glob("lib/python3*/site-packages"), folder / "site-packages")

    def note(self, pins: bytes) -> None:
        """Write down what is there: the last act of making an environment.

        pins: what it was made from. Raises OSError.
        """
        states, recorded = self._states(), self._recorded()
        own = states.keys() - recorded.keys()
        manifest = {
            "pins": hashlib.sha256(pins).hexdigest(),
            "records": {name: sha256_of(self.site / name) for name in self._records()},
            "own": {name: sha256_of(self.folder / name) for name in own},
            "states": states,
        }
        atomic.write(self.folder / MANIFEST, json.dumps(manifest).encode())

    def changes(self, *, wholly: bool) -> list[Change]:
        """Files that are not as installed.

        wholly: every file is read. Else only those whose size or time is not what it was when the
        environment was made; what turns out to be the same, as after a copy, is noted anew.
        """
        manifest = self._manifest()
        if manifest is None:
            return [Change(None, MANIFEST, "can't be read")]
        if wholly:
            self._drop_bytecode()
        then, now = manifest["states"], self._states()
        doubtful = sorted(now) if wholly else [name for name in now if now[name] != then.get(name)]
        gone = sorted(then.keys() - now.keys())
        if not doubtful and not gone:
            return []
        found = [*self._of_records(manifest), *self._of_files(manifest, gone, doubtful)]
        if not found:
            noted = json.dumps({**manifest, "states": now}).encode()
            atomic.remember(self.folder / MANIFEST, noted)
        return found

    def digest(self) -> str:
        """SHA-256 of the files of all packages, wherever they are installed.

        Programs in bin/ name the environment's place, and some of a dist-info tells of the install.
        """
        rows = sorted(
            f"{name} {digest}\n"
            for name, (_, digest) in self._recorded().items()
            if not name.startswith("bin/") and ".dist-info/" not in name
        )
        return hashlib.sha256("".join(rows).encode()).hexdigest()

    def _manifest(self) -> dict[str, Any] | None:
        try:
            manifest = dict(json.loads((self.folder / MANIFEST).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return manifest if {"records", "own", "states"} <= manifest.keys() else None

    def _of_records(self, manifest: Mapping[str, Any]) -> Iterator[Change]:
        """The records themselves: whoever edits a file may edit them too."""
        for name, digest in manifest["records"].items():
            place = self.site / name
            if place.is_file() and sha256_of(place) != digest:
                yield Change(_package(name), self._below(name), "was changed")

    def _of_files(
        self, manifest: Mapping[str, Any], gone: list[str], doubtful: list[str]
    ) -> Iterator[Change]:
        """Of some files, those that are no more, or whose bytes are not the recorded ones."""
        recorded, records = self._recorded(), {self._below(name) for name in manifest["records"]}
        for name in gone:
            yield Change(recorded.get(name, (None, ""))[0], name, "is missing")
        for name in doubtful:
            package, digest = recorded.get(name, (None, manifest["own"].get(name)))
            if digest is None:
                yield Change(package, name, "was added")
            elif name not in records and sha256_of(self.folder / name) != digest:
                yield Change(package, name, "was changed")

    def _records(self) -> list[str]:
        return sorted(
            f"{place.parent.name}/RECORD" for place in self.site.glob("*.dist-info/RECORD")
        )

    def _recorded(self) -> dict[str, tuple[str, str]]:
        """File below the folder -> its package and SHA-256, where a record gives one."""
        found: dict[str, tuple[str, str]] = {}
        for record in self._records():
            with (self.site / record).open(newline="", encoding="utf-8") as rows:
                for row in csv.reader(rows):
                    if len(row) > 1 and row[1].startswith("sha256="):
                        digest = base64.urlsafe_b64decode(row[1][7:] + "==").hex()
                        found[self._below(row[0])] = (_package(record), digest)
        return found

    def _below(self, name: str) -> str:
        """A path that starts in site-packages, from the environment's folder on."""
        return os.path.relpath(os.path.normpath(self.site / name), self.folder)

    def _states(self) -> dict[str, list[int]]:
        """Size and time of every file but bytecode, which Python makes from the rest, and links.

        Links (bin/python, lib64) lead out of the environment. Not the inode, nor its time: they
        change when another environment is made or this one copied.
        """
        found, todo = {}, [""]
        while todo:
            below = todo.pop()
            with os.scandir(f"{self.folder}/{below}") as entries:
                for entry in entries:
                    if entry.is_symlink() or entry.name == "__pycache__":
                        continue
                    if entry.is_dir():
                        todo.append(f"{below}{entry.name}/")
                    elif below or not entry.name.startswith((MANIFEST, f".{MANIFEST}.")):
                        status = entry.stat()
                        found[below + entry.name] = [status.st_size, status.st_mtime_ns]
        return found

    def _drop_bytecode(self) -> None:
        for place in list(self.folder.rglob("__pycache__")):
            shutil.rmtree(place, ignore_errors=True)


def _package(record: str) -> str:
    """`six-1.17.0.dist-info/RECORD` -> `six 1.17.0`."""
    name, _, version = record.partition("/")[0].removesuffix(".dist-info").rpartition("-")
    return f"{name} {version}"
