"""dvc.lock files that were parsed in an earlier run: YAML takes twenty times as long as this."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pipelines.dvc import lock_text
from pipelines.files.shelf import Shelf


class ParsedFiles:
    """memory: file that keeps what was parsed, by the digest of its text."""

    def __init__(self, memory: Path) -> None:
        self._known = Shelf(memory, "locks 1")

    def of(self, file: str, text: str) -> dict[str, Any]:
        """The stages of a dvc.lock. Raises ValueError where it is damaged."""
        digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        known = self._known.get(file)
        if known is not None and known[0] == digest:
            return dict(known[1])
        stages = lock_text.load(text)
        if _is_json(stages):
            self._known.put(file, [digest, stages])
        return stages

    def save(self) -> None:
        self._known.save()


def _is_json(stages: dict[str, Any]) -> bool:
    """Whether JSON gives the same back: keys that are numbers would come back as text."""
    try:
        return bool(json.loads(json.dumps(stages)) == stages)
    except (TypeError, ValueError):
        return False
