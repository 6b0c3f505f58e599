"""doit's database and file checker as a view of dvc.lock, which is the only truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from doit.dependency import FileChangedChecker

from pipelines.building.project import Project
from pipelines.files import atomic


class ContentChecker(FileChangedChecker):  # type: ignore[misc]
    """doit looks at no file: a step's `uptodate` has answered for all that it reads and makes."""

    def exists(self, file_path: str) -> bool:
        return True

    def info(self, file_path: str) -> None:
        return None

    def check_modified(self, file_path: str, file_stat: object, state: str) -> bool:
        return False

    def get_state(self, dep: str, current_state: object) -> None:
        """Nothing to save: the builder has recorded the step."""
        return


class LockBackend:
    """What doit asks its database, answered from the models' dvc.lock.

    Source: doit's `dependency.JsonDB`, whose interface this has.
    """

    desc = "view of dvc.lock"

    def __init__(self, project: Project, name: str = "dvc.lock", **codec: object) -> None:
        self.project = project
        self.name = name
        self._ignored = self.project.root / ".npumake" / "ignored.json"

    def get(self, task_id: str, dependency: str) -> Any:
        if dependency == "ignore:":
            return "1" if task_id in _names(self._ignored) else None
        step = self.project.plan.steps.get(task_id)
        entry = self.project.builder.locks.entry(step) if step else None
        if entry is None:
            return None
        if dependency == "checker:":
            return ContentChecker.__name__
        if dependency == "deps:":
            return list(entry.facts.deps)
        content = entry.facts.deps.get(dependency)
        return content.md5 if content else None

    def in_(self, task_id: str) -> bool:
        step = self.project.plan.steps.get(task_id)
        return step is not None and self.project.builder.locks.entry(step) is not None

    def set(self, task_id: str, dependency: str, value: object) -> None:
        if dependency == "ignore:":
            names = json.dumps(sorted({*_names(self._ignored), task_id}))
            atomic.write(self._ignored, names.encode())

    def remove(self, task_id: str) -> None:
        """doit removes a failed task's record; dvc.lock keeps the last success, still true."""

    def remove_all(self) -> None:
        self._ignored.unlink(missing_ok=True)

    def dump(self) -> None:
        self.project.builder.locks.flush()
        self.project.builder.contents.save()


def _names(file: Path) -> list[str]:
    return list(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else []
