"""The plan as doit tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from doit.action import BaseAction
from doit.exceptions import TaskFailed

from pipelines.done import DONE, Done
from pipelines.project import CURRENT
from pipelines.step import Step
from pipelines.where import Problems
from pipelines.worker import Failed, Stopped

STOPPED = "stopped"  # what a step says that was interrupted


class BringUpToDate(BaseAction):  # type: ignore[misc]
    """The one action of a step's task. Never prints: doit's threads share sys.stdout."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.task: Any = None
        self.out = self.err = self.result = None
        self.values: dict[str, object] = {}

    def execute(self, out: object = None, err: object = None) -> TaskFailed | None:
        began = time.monotonic()
        try:
            why = tuple(CURRENT.builder.why(self.step))
            outcome = CURRENT.builder.bring(self.step)
        except (Failed, OSError, Problems) as error:
            return TaskFailed(str(error))
        except Stopped:
            return TaskFailed(STOPPED)
        DONE[self.step.name] = Done(outcome, why, time.monotonic() - began)
        return None

    def __str__(self) -> str:
        return self.step.command


def tasks() -> Iterator[dict[str, Any]]:
    """One task a step, and the groups MODEL and MODEL@TARGET, a sweep's name too."""
    plan = CURRENT.plan
    for recipe in plan.recipes.values():
        yield {"basename": recipe.model, "name": None, "doc": recipe.description or recipe.model}
        for step in plan.of(recipe.model):
            yield _task(step)
        for target, steps in plan.groups(recipe).items():
            yield {
                "basename": f"{recipe.model}@{target}",
                "actions": None,
                "doc": f"{recipe.model} for {target}",
                "task_dep": [step.name for step in steps],
            }


def _task(step: Step) -> dict[str, Any]:
    return {
        "basename": step.model,
        "name": step.name.partition(":")[2],
        "doc": step.stage,
        "actions": [BringUpToDate(step)],
        "file_dep": list(step.dependencies),
        "targets": list(step.outputs.values()),
        "uptodate": [lambda: not CURRENT.builder.why(step)],
        "io": {"capture": False},
    }
