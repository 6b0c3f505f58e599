"""A memory of JSON values by name: a line each in one file, of which only what is asked for is
decoded, and only what changed is encoded again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipelines.files import atomic


class Shelf:
    """file: may be absent or damaged; it is only a memory. Values are not to be changed in place.

    form: the first line; a file that begins otherwise holds nothing.
    """

    def __init__(self, file: Path, form: str) -> None:
        self._file = file
        self._form = form.encode()
        self._lines: dict[bytes, bytes] | None = None
        self._is_changed = False

    def get(self, name: str) -> Any:
        """The value; None where there is none."""
        line = self._load().get(_key(name))
        try:
            return None if line is None else json.loads(line)
        except ValueError:
            return None

    def put(self, name: str, value: Any) -> None:
        self._load()[_key(name)] = json.dumps(value).encode()
        self._is_changed = True

    def keep(self, names: Iterable[str]) -> None:
        """Drop all other values."""
        lines = self._load()
        self._lines = {key: lines[key] for key in map(_key, names) if key in lines}
        self._is_changed = True

    def __iter__(self) -> Iterator[str]:
        return map(json.loads, [*self._load()])

    def save(self) -> None:
        if self._is_changed:
            rows = (b"%s\t%s" % row for row in self._load().items())
            atomic.remember(self._file, b"\n".join([self._form, *rows]))
            self._is_changed = False

    def _load(self) -> dict[bytes, bytes]:
        if self._lines is None:
            self._lines = self._read()
        return self._lines

    def _read(self) -> dict[bytes, bytes]:
        try:
            form, *rows = self._file.read_bytes().split(b"\n")
        except OSError:
            return {}
        if form != self._form:
            return {}
        return {key: line for key, _, line in (row.partition(b"\t") for row in rows)}


def _key(name: str) -> bytes:
    return json.dumps(name).encode()  # which holds neither tab nor newline
