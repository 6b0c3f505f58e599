"""What native code's memory holds before it is written, and what becomes of it once it is freed."""

from __future__ import annotations

import ctypes

# glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_PERTURB = -1, -3, -6

_LARGEST = 2**31 - 1  # an int
_LIBC = ctypes.CDLL(None)
_MALLOPT = getattr(_LIBC, "mallopt", None)


def settle(is_settled: bool) -> None:
    """Fill memory that this process allocates from now on, or leave it as it comes.

    Filled as MALLOC_PERTURB_=85 does it, which pipelines.run.worker sets so that what a toolchain's
    server has freed is settled too. It costs an eighth of the time. Does nothing but on glibc.
    """
    _mallopt(_M_PERTURB, 85 if is_settled else 0)


def keep_freed() -> None:
    """Keep what this process frees for what it allocates next; does nothing but on glibc.

    By default a block above 32 MB, and the heap's end, go back to the kernel at once, which clears
    the same pages again for the next: three quarters of what calibration takes of the kernel's
    time, and three fifths of what a build of 1 GB does.
    """
    _mallopt(_M_MMAP_THRESHOLD, 2**30)
    _mallopt(_M_TRIM_THRESHOLD, _LARGEST)


def give_back() -> None:
    """Return to the kernel what this process has freed; does nothing but on glibc."""
    trim = getattr(_LIBC, "malloc_trim", None)
    if trim is not None:
        trim(0)


def _mallopt(option: int, value: int) -> None:
    if _MALLOPT is not None:
        _MALLOPT(option, value)
