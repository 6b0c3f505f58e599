"""What this machine has to run steps with."""

from __future__ import annotations

import os
import re
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def free_bytes(proc: Path = Path("/proc"), cgroup: Path = _CGROUP) -> int:
    """Memory that steps may take: what is available, or what a container's limit leaves of it."""
    try:
        told = re.search(r"MemAvailable: +(\d+) kB", (proc / "meminfo").read_text())
    except OSError:  # not Linux
        told = None
    if told is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(1024 * int(told[1]), *_left_by_cgroup(cgroup), 1 << 62)


def _left_by_cgroup(folder: Path) -> list[int]:
    """Of cgroup v2, which a container sees as its root."""
    try:
        limit = int((folder / "memory.max").read_text())
        return [max(0, limit - int((folder / "memory.current").read_text()))]
    except (OSError, ValueError):  # no limit: `max`
        return []
