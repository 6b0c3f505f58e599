"""What fresh memory holds, for native code that reads some before it writes it."""

from __future__ import annotations

import ctypes

_M_PERTURB = -6  # glibc's malloc.h


def settle(is_settled: bool) -> None:
    """Fill memory that this process allocates from now on, or leave it as it comes.

    Filled as MALLOC_PERTURB_=85 does it, which pipelines.run.worker sets so that what a toolchain's
    server has freed is settled too. It costs an eighth of the time. Does nothing but on glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_PERTURB, 85 if is_settled else 0)
