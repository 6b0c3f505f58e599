"""doit's task file, and npumake's front door once .venv is there (`./doit` ends here)."""

from __future__ import annotations

import sys

if __name__ == "__main__":  # before the imports, which take longer than all the rest
    from pipelines.front import quick

    quick.answer(sys.path[0], sys.argv[1:])

from pipelines.front.task_file import DOIT_CONFIG, run, task_models

__all__ = ["DOIT_CONFIG", "task_models"]

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
