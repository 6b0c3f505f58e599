"""dvc.lock files that were parsed in an earlier run: YAML takes twenty times as long as this."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pipelines import atomic, lock_text


class ParsedFiles:
    """memory: file that keeps what was parsed, by the digest of its text."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: dict[str, Any] | None = None
        self._is_changed = False

    def of(self, file: str, text: str) -> dict[str, Any]:
        """The stages of a dvc.lock. Raises ValueError where it is damaged."""
        digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        known = self._load().get(file)
        if known is not None and known[0] == digest:
            return dict(known[1])
        stages = lock_text.load(text)
        if _is_json(stages):
            self._load()[file] = [digest, dict(stages)]
            self._is_changed = True
        return stages

    def save(self) -> None:
        if self._is_changed:
            atomic.remember(self._memory, json.dumps(self._known).encode())
            self._is_changed = False

    def _load(self) -> dict[str, Any]:
        if self._known is None:
            try:
                self._known = dict(json.loads(self._memory.read_bytes()))
            except (OSError, ValueError):  # none yet, or damaged: it is only a memory
                self._known = {}
        return self._known


def _is_json(stages: dict[str, Any]) -> bool:
    """Whether JSON gives the same back: keys that are numbers would come back as text."""
    try:
        return bool(json.loads(json.dumps(stages)) == stages)
    except (TypeError, ValueError):
        return False
