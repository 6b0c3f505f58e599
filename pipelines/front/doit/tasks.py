"""The plan as doit tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from doit.action import BaseAction
from doit.exceptions import TaskFailed

from pipelines.building import dry_run
from pipelines.building.builder import Outcome
from pipelines.building.done import Done
from pipelines.building.project import Project
from pipelines.building.status import Status
from pipelines.files.where import Problems
from pipelines.record.step import Step
from pipelines.run.worker import Failed, Stopped

STOPPED = "stopped"  # what a step says that was interrupted


class BringUpToDate(BaseAction):  # type: ignore[misc]
    """The one action of a step's task. Never prints: doit's threads share sys.stdout."""

    def __init__(self, project: Project, step: Step) -> None:
        self.project = project
        self.step = step
        self._status: Status | None = None  # as doit was told just before it runs this
        self.task: Any = None
        self.out = self.err = self.result = None
        self.values: dict[str, object] = {}

    def execute(self, out: object = None, err: object = None) -> TaskFailed | None:
        began = time.monotonic()
        try:
            status = self._status or self.project.builder.status(self.step)
            outcome = self.project.builder.ensure(self.step, status)
        except (Failed, OSError, Problems) as error:
            return TaskFailed(str(error))
        except Stopped:
            return TaskFailed(STOPPED)
        elapsed_s = time.monotonic() - began
        if outcome is Outcome.RAN:  # by a cluster it may have waited for a worker
            elapsed_s = self.project.builder.costs[self.step.name].seconds
        done = Done(outcome, status.why, elapsed_s)
        self.project.invocation.done[self.step.name] = done
        return None

    def is_idle(self) -> bool:
        """What doit asks first: whether the step has nothing to do."""
        settled = self.project.invocation.settled
        if settled is None:  # doit lists: nothing is brought up to date before
            return _is_foreseen_up_to_date(self.project, self.step)
        self._status = settled.get(self.step.name) or self.project.builder.status(self.step)
        return self._status.is_idle

    def __str__(self) -> str:
        return self.step.command


def tasks(project: Project) -> Iterator[dict[str, Any]]:
    """One task a step, and the groups MODEL and MODEL@TARGET, a sweep's name too."""
    plan = project.plan
    for recipe in plan.recipes.values():
        yield {"basename": recipe.model, "name": None, "doc": recipe.description or recipe.model}
        for step in plan.of(recipe.model):
            yield _task(project, step)
        for target, steps in plan.groups(recipe).items():
            yield {
                "basename": f"{recipe.model}@{target}",
                "actions": None,
                "doc": f"{recipe.model} for {target}",
                "task_dep": [step.name for step in steps],
            }


def _is_foreseen_up_to_date(project: Project, step: Step) -> bool:
    """Whether the step will be up to date at its turn."""
    names = project.plan.with_dependencies({step.name})
    return dry_run.make(project.plan, project.builder, names).steps[step.name].is_up_to_date


def _task(project: Project, step: Step) -> dict[str, Any]:
    action = BringUpToDate(project, step)
    return {
        "basename": step.model,
        "name": step.name.partition(":")[2],
        "doc": step.stage,
        "actions": [action],
        "file_dep": list(step.dependencies),
        "targets": list(step.outputs.values()),
        "uptodate": [action.is_idle],
        "io": {"capture": False},
    }
