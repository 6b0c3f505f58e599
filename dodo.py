"""doit's task file, and npumake's front door once .venv is there (`./doit` ends here)."""

from __future__ import annotations

import gc
import sys

if __name__ == "__main__":  # before the imports, which take longer than all the rest
    from pipelines.front import quick

    quick.answer(sys.path[0], sys.argv[1:])
    gc.disable()  # what imports make stays: to look for garbage among it takes a twelfth of them

from pipelines.front.task_file import DOIT_CONFIG, run, task_models

__all__ = ["DOIT_CONFIG", "task_models"]

if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    sys.exit(run(sys.argv[1:]))
