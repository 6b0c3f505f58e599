"""Several workers on one machine: forks of a process that has imported dask, which takes long."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from pipelines.building.cluster import dask


def become(count: int, root: Path) -> None:
    """Returns in each of `count` forks. This process ends when all of them have, or by SIGTERM.

    Each writes into a log of its own, the first into this process's stderr. Raises ToolchainError,
    ClusterError.
    """
    dask.load(root)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until all are known
    forks = list[int]()
    for number in range(count):
        if (fork := os.fork()) == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            if number > 0:
                log = root / ".npumake" / "logs" / f"worker-{number}.log"
                with log.open("wb") as file:
                    os.dup2(file.fileno(), sys.stderr.fileno())
            return
        forks.append(fork)

    def end(number: int, frame: object) -> None:
        for fork in forks:
            with contextlib.suppress(ProcessLookupError):
                os.kill(fork, signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    while forks:
        os.waitpid(forks[0], 0)
        del forks[0]
    os._exit(0)
