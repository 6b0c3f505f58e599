"""What steps cost when they last ran here: by this a run chooses its order. Hints, never facts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.files import atomic


class Cost(NamedTuple):
    """seconds: wall time. peak_bytes: memory of its largest process; 0 where nobody measured it."""

    seconds: float
    peak_bytes: int = 0


def read(root: Path) -> dict[str, Cost]:
    """Step -> what its last run cost; empty where nothing is remembered."""
    try:
        held = json.loads(_file(root).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    known = held.items() if isinstance(held, dict) else ()
    return {name: Cost(*value) for name, value in known if _is_cost(value)}


def remember(root: Path, found: Mapping[str, Cost]) -> None:
    """Keep what `read` returns, with what is kept already."""
    if found:
        data = json.dumps(read(root) | dict(found), sort_keys=True).encode()
        atomic.remember(_file(root), data)


def _is_cost(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(type(each) in (int, float) and each >= 0 for each in value)
    )


def _file(root: Path) -> Path:
    return root / ".npumake" / "costs.json"
