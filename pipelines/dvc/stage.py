"""A stage of dvc.lock: its texts and its digests, each made once."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any

from pipelines.dvc import lock_text

_encode = json.JSONEncoder(sort_keys=True).encode


class DvcStage:
    """data: what stands below the stage's name in dvc.lock."""

    def __init__(self, name: str, data: dict[str, Any]) -> None:
        self.data = data
        self._name = name

    @property
    def text(self) -> str:
        """As it stands in dvc.lock."""
        return self._texts[0]

    @property
    def document(self) -> str:
        """As it stands in the run-cache."""
        return self._texts[1]

    @cached_property
    def key(self) -> str:
        """DVC's run-cache key: command, dependencies, parameters and the outputs' paths."""
        return _sha256({**self._parts, "outs": _encode([row["path"] for row in self.data["outs"]])})

    @cached_property
    def value(self) -> str:
        """DVC's name for the run-cache's file, below the key."""
        return _sha256(self._parts)

    @cached_property
    def _texts(self) -> tuple[str, str]:
        return lock_text.dump_both(self._name, self.data)

    @cached_property
    def _parts(self) -> dict[str, str]:
        """The JSON that DVC hashes, key by key in order: all but sizes."""
        return {key: _encode(_without_sizes(value)) for key, value in sorted(self.data.items())}


def _sha256(parts: dict[str, str]) -> str:
    text = ", ".join([f'"{key}": {part}' for key, part in parts.items()])
    return hashlib.sha256(f"{{{text}}}".encode()).hexdigest()


def _without_sizes(value: Any) -> Any:
    kind = type(value)  # plain data: asking for abstract types takes most of the time
    if kind is dict:
        return {
            key: item if type(item) is str else _without_sizes(item)
            for key, item in value.items()
            if key not in ("size", "nfiles")
        }
    return [_without_sizes(item) for item in value] if kind is list else value
