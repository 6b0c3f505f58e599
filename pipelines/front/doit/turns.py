"""doit's dispatcher, which hands out what is ready in the order that pipelines.building.schedule
gives instead of first come, first served."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from doit.control import ExecNode, TaskControl, TaskDispatcher
from doit.task import Task

from pipelines.building.dry_run import DryRun
from pipelines.building.project import Project
from pipelines.building.schedule import Turns, expected, tails
from pipelines.front.doit import on_cluster
from pipelines.record import costs
from pipelines.run.machine import free_bytes

_ALL_HOLD = 1 << 62  # a worker's memory is its own affair


def of_run(project: Project, foreseen: DryRun) -> Turns:
    """How the steps of a run take turns on this machine."""
    plan = project.plan
    cost = expected(plan.steps.values(), costs.read(project.root))
    runs = {name: cost[name] for name in foreseen.runs}
    before = {
        name: [each.name for each in plan.before(one.step)] for name, one in foreseen.steps.items()
    }
    capacity = _ALL_HOLD if on_cluster.of(project) else free_bytes()
    ways = tails(before, {name: each.seconds for name, each in runs.items()})
    peaks = {name: each.peak_bytes for name, each in runs.items()}
    soon = frozenset(name for name in runs if plan.steps[name].goes_on_in in runs)
    return Turns(ways, peaks, capacity, soon)


class Control(TaskControl):  # type: ignore[misc]
    """What doit's `run` makes of the tasks. turns: of its steps."""

    turns: Turns

    def task_dispatcher(self) -> Dispatcher:
        return Dispatcher(self.tasks, self.targets, self.selected_tasks, self.turns)


class Dispatcher(TaskDispatcher):  # type: ignore[misc]
    """Source: doit's own `_dispatcher_generator`; here every task is known from the start, and
    which of those that wait for nothing goes next is a matter of turns."""

    def __init__(
        self, tasks: Mapping[str, Task], targets: object, selected: Sequence[str], turns: Turns
    ) -> None:
        self._turns = turns
        super().__init__(tasks, targets, selected)

    def _dispatcher_generator(self, selected: Sequence[str]) -> Generator[Any, Any, None]:
        roots = deque(selected)
        while True:
            node = self._next(roots)
            if node is None:
                if not (self.waiting or self._turns):
                    return
                self._note((yield "hold on"))
                continue
            while (found := node.step()) is not None:
                if isinstance(found, ExecNode):
                    self.ready.append(found)
                elif isinstance(found, Task):
                    self._note((yield node))
                else:  # "wait"
                    self.waiting.add(node)
                    break

    def _next(self, roots: deque[str]) -> ExecNode | None:
        """A node whose dependencies are to be found, or else whose turn it is."""
        while self.ready or roots:
            node = self.ready.popleft() if self.ready else self._gen_node(None, roots.popleft())
            if node is not None:
                if not self._is_free(node):
                    return node
                self._turns.add(node.task.name)
        name = self._turns.take()
        return None if name is None else self.nodes[name]

    def _is_free(self, node: ExecNode) -> bool:
        """Whether nothing that it waits for is still to be done."""
        before = (self.nodes.get(name) for name in node.task.task_dep)
        return all(each is not None and each.run_status not in (None, "run") for each in before)

    def _note(self, node: ExecNode | None) -> None:
        """node: what has ended, or was just found up to date."""
        if node is not None and node.run_status != "run":
            self._turns.ended(node.task.name)
        self._update_waiting(node)
