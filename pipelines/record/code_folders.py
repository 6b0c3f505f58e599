"""The folders that hold code or pins, and all that is in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pipelines.record import seal


class CodeFolders:
    """Each folder and what is below it, read once: to look twice takes as long as all the rest.

    root: the project. names: folder -> what stands in it, as a seal holds it. files: their paths.
    All are relative to the project; links are followed, what Python compiled is left out.
    """

    def __init__(self, root: Path, folders: Sequence[str]) -> None:
        self._root = str(root)
        self.names: dict[str, list[str]] = {}
        self.files: list[str] = []
        for folder in folders:
            if (root / folder).is_dir():
                self._read(folder)

    def _read(self, folder: str) -> None:
        with os.scandir(f"{self._root}/{folder}") as found:
            entries = [entry for entry in found if entry.name != "__pycache__"]
        self.names[folder] = seal.names_of(entries)
        for entry in entries:
            if entry.is_dir():
                self._read(f"{folder}/{entry.name}")
            elif entry.is_file():
                self.files.append(f"{folder}/{entry.name}")
