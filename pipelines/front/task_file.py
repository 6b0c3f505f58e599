"""What a dodo.py holds: doit's settings, the models' tasks, and what `./doit ARGUMENTS` does."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

from pipelines.front.doit.cli import jobs_at_once, main
from pipelines.front.doit.lock_backend import ContentChecker
from pipelines.front.doit.reporter import StepReporter
from pipelines.front.doit.tasks import tasks as task_models

DOIT_CONFIG: dict[str, Any] = {
    "backend": "dvc.lock",
    "dep_file": "dvc.lock",
    "check_file_uptodate": ContentChecker,
    "reporter": StepReporter,
    "par_type": "thread",  # doit's processes hang for ever when a worker dies hard
    "num_process": jobs_at_once(),
    "verbosity": 0,
    "continue": True,  # a step that fails stops those that need it, and no other model
}

__all__ = ["DOIT_CONFIG", "run", "task_models"]


def run(arguments: Sequence[str]) -> int:
    """One command line. Returns the exit code."""
    # As Ctrl-C: the running steps are stopped, and what was finished is recorded.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return main(list(arguments))
