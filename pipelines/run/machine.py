"""What this machine has to run steps with."""

from __future__ import annotations

import os
import re
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_AVX2 = {"avx2", "fma"}


def free_bytes(proc: Path = Path("/proc"), cgroup: Path = _CGROUP) -> int:
    """Memory that steps may take: what is available, or what a container's limit leaves of it."""
    try:
        told = re.search(r"MemAvailable: +(\d+) kB", (proc / "meminfo").read_text())
    except OSError:  # not Linux
        told = None
    if told is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(1024 * int(told[1]), *_left_by_cgroup(cgroup), 1 << 62)


def blas_kernels(proc: Path = Path("/proc")) -> str | None:
    """What OPENBLAS_CORETYPE is to be: one for every processor with AVX2; None where there is none.

    Which kernels OpenBLAS takes decides in which order it adds, and so of the last digits. Left to
    itself it takes others for each generation, and for one that is newer than it (0.3.23 and Xeons
    since 2023) those of 2004, at a quarter of the speed.
    """
    try:
        told = re.search(r"^flags\s*:(.*)", (proc / "cpuinfo").read_text(), re.M)
    except OSError:  # not Linux
        return None
    return "Haswell" if told and set(told[1].split()) >= _AVX2 else None


def _left_by_cgroup(folder: Path) -> list[int]:
    """Of cgroup v2, which a container sees as its root."""
    try:
        limit = int((folder / "memory.max").read_text())
        return [max(0, limit - int((folder / "memory.current").read_text()))]
    except (OSError, ValueError):  # no limit: `max`
        return []
