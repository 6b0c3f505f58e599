"""What the system says of processes."""

from __future__ import annotations

from pathlib import Path


def is_running(process: int) -> bool:
    """Whether it lives; one that has ended and was not asked for yet does not."""
    try:
        told = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return told.rsplit(")", 1)[1].split()[0] != "Z"
