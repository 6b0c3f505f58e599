"""doit's task file, and npumake's front door once .venv is there (`./doit` ends here)."""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":  # before the imports, which take longer than all the rest
    from pipelines import seal

    seal.tell_if_whole(sys.path[0], sys.argv[1:])
    if sys.argv[1:2] == ["inspect"]:
        from pipelines.front import inspecting

        code = inspecting.main(sys.argv[2:])
        if code is not None:
            sys.exit(code)

from pipelines.front.backend import ContentChecker
from pipelines.front.cli import jobs_at_once, main
from pipelines.front.reporter import StepReporter
from pipelines.front.tasks import tasks as task_models

DOIT_CONFIG = {
    "backend": "dvc.lock",
    "dep_file": "dvc.lock",
    "check_file_uptodate": ContentChecker,
    "reporter": StepReporter,
    "par_type": "thread",  # doit's processes hang for ever when a worker dies hard
    "num_process": jobs_at_once(),
    "verbosity": 0,
    "continue": True,  # a step that fails stops those that need it, and no other model
}

__all__ = ["DOIT_CONFIG", "task_models"]

if __name__ == "__main__":
    # As Ctrl-C: the running steps are stopped, and what was finished is recorded.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
