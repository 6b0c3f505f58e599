"""A Python without packages that has started already, for toolchains that are made up.

Its fork servers are small forks of it; started anew, they take longer than the jobs that write
made-up bytes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests import warm, warm_toolchains

# What a fork server imports, and a made-up job.
_PRELOAD = (
    *("contextlib", "ctypes", "gc", "hashlib", "importlib", "resource", "select", "signal"),
    *("tempfile", "time", "traceback"),
)
_OWN = (
    *("pipelines.run.job_server", "pipelines.run.jobs.decode", "pipelines.run.jobs.job"),
    *("pipelines.run.jobs.memory", "pipelines.run.kept"),
    *("pipelines.backends.rknn.jobs", "pipelines.stages.export.jobs"),  # packages of such jobs
    *("pipelines.stages.samples.jobs", "pipelines.stages.simplify.jobs"),
)


def make_environment(folder: Path) -> None:
    """Of its own: nothing of the machine's Python is imported when it starts."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\n")


def make_warm_environment(folder: Path) -> None:
    """The same, whose fork servers are forks."""
    make_environment(folder)
    start_before(folder)


def start_before(environment: Path) -> None:
    """Have the fork servers of an environment that is made be forks from now on."""
    python = environment / "bin" / "python"
    python.rename(environment / "bin" / "python.real")
    warm_toolchains.write_launcher(python, environment / "bin" / "python.real", _started())


@cache
def _started() -> Path:
    """The socket of an interpreter that ends with this process."""
    place = Path(tempfile.mkdtemp(prefix="plain-"))
    make_environment(place / "python")
    python = place / "python" / "bin" / "python"
    environment = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0"}
    started = warm.start(python, place / "socket", _PRELOAD, _OWN, environment)
    return warm.kept(started, place / "socket", f"one of {_PRELOAD}")
