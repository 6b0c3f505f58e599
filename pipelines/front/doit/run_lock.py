"""One run at a time in a project: the second waits, and says for whom."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pipelines.dvc import leftovers
from pipelines.files import console


class RunLock:
    def __init__(self, root: Path) -> None:
        self._path = root / ".npumake" / "run.lock"

    def __enter__(self) -> RunLock:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            console.say(f"waiting for another ./doit in this folder (process {holder})", "yellow")
            fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.seek(0)
        if self._file.read():  # the last holder died, perhaps before it had a journal
            leftovers.remove(self._path.parent.parent)
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()
        return self

    def __exit__(self, *error: object) -> None:
        self._file.truncate(0)
        self._file.close()
