"""What a dodo.py holds: doit's settings, the models' tasks, and what `./doit ARGUMENTS` does."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from pipelines.building.project import Project
from pipelines.files import pulse
from pipelines.files.engine import PROJECT
from pipelines.front.doit.cli import main, namespace
from pipelines.front.doit.lock_backend import LockBackend

_HERE = Project(PROJECT)
_NAMESPACE = namespace(_HERE)
DOIT_CONFIG, task_models = _NAMESPACE["DOIT_CONFIG"], _NAMESPACE["task_models"]

__all__ = ["DOIT_CONFIG", "Backend", "run", "task_models"]


class Backend(LockBackend):
    """For doit by itself, which makes what pyproject.toml names."""

    def __init__(self, name: str, **codec: object) -> None:
        super().__init__(_HERE, name)


def run(arguments: Sequence[str]) -> int:
    """One command line. Returns the exit code."""
    # As Ctrl-C: the running steps are stopped, and what was finished is recorded.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return main(_HERE, list(arguments))
    finally:
        pulse.end()
