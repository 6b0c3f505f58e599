"""One line a step that did something, then one row a model and target."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from pipelines.building.builder import Outcome
from pipelines.building.done import Done, Ended
from pipelines.building.project import Project
from pipelines.files import console, pulse
from pipelines.front.doit import progress, sealing
from pipelines.front.doit.tasks import STOPPED
from pipelines.record import costs
from pipelines.record.facts import NEVER
from pipelines.report import gates, rows
from pipelines.report.rows import Run, Told

_NAME_WIDTH, _MOST_WIDTH = 30, 44


class StepReporter:
    """doit's reporter interface. Steps run in threads; the display is guarded."""

    desc = "one line a step, one row a model and target"

    def __init__(self, project: Project) -> None:
        self.project = project
        self._invocation = project.invocation
        self._running: dict[str, float] = {}
        self._ended_count = 0
        self._steps = 0
        self._times: dict[str, float] = {}
        self._shown = ExitStack()
        self._guard = threading.Lock()
        self._selected: set[str] = set()
        self._name_width = _NAME_WIDTH
        self._interrupted: list[str] = []
        self._has_gate_failures = False
        self._has_errors = False
        self._is_clean = True  # nothing was told that a run with nothing to do would not tell

    def initialize(self, tasks: dict[str, Any], selected: list[str]) -> None:
        names, todo = set(), list(selected)
        while todo:
            name = todo.pop()
            if name not in names:
                names.add(name)
                todo += tasks[name].task_dep
        self._selected = names
        self._steps = sum(1 for name in names if name in self.project.plan.steps)
        held = costs.read(self.project.root)
        self._times = {name: cost.seconds for name, cost in held.items()}
        self._shown.enter_context(pulse.told_by(self._progress))
        pulse.begin()
        longest = max((len(name) for name in names if name in self.project.plan.steps), default=0)
        self._name_width = min(max(_NAME_WIDTH, longest), _MOST_WIDTH)

    def get_status(self, task: Any) -> None:
        """Called before the check; nothing to say yet."""

    def execute_task(self, task: Any) -> None:
        if task.actions:
            with self._guard:
                self._running[task.name] = time.monotonic()
            pulse.show()

    def add_success(self, task: Any) -> None:
        self._ended(task)
        done = self._invocation.done.get(task.name)
        if done is None or done.outcome is Outcome.UP_TO_DATE:
            return
        what = "restored" if done.outcome is Outcome.RESTORED else f"{done.elapsed_s:.1f} s"
        self._line(task.name, f"{what:>8}  {_because(done, task.name)}")

    def add_failure(self, task: Any, fail: Any) -> None:
        self._is_clean = False
        self._ended(task)
        what = fail.get_msg().strip()
        kind = type(fail).__name__
        if kind == "UnmetDependency":
            if task.actions:  # else a group
                self._line(task.name, f"not run: it needs {fail.message}", "yellow")
            return
        self._has_errors |= kind != "TaskFailed"
        self._invocation.undone[task.name] = "interrupted" if what.endswith(STOPPED) else "failed"
        self._line(task.name, "FAILED", "red")
        console.say("  " + what.removeprefix("ERROR: "))

    def skip_uptodate(self, task: Any) -> None:
        """No line: silence is how no news is told."""
        if task.actions:
            self._ended_count += 1
            self._invocation.done[task.name] = Done(Outcome.UP_TO_DATE, (), 0.0)

    def skip_ignore(self, task: Any) -> None:
        self._is_clean = False
        self._invocation.undone[task.name] = "ignored"
        self._line(task.name, "ignored (./doit forget --ignored to end that)")

    def cleanup_error(self, exception: Any) -> None:
        self._is_clean = False
        console.say(exception.get_msg(), "red")

    def runtime_error(self, msg: str) -> None:
        self._is_clean = False
        console.say(msg, "red")

    def teardown_task(self, task: Any) -> None:
        """No step has a teardown."""

    def complete_run(self) -> None:
        with pulse.phase("noting what was done"):
            self._complete_run()

    def _complete_run(self) -> None:
        ran = {
            name: self.project.builder.costs[name]
            for name, d in self._invocation.done.items()
            if d.outcome is Outcome.RAN
        }
        costs.remember(self.project.root, ran)
        with self._guard:
            self._interrupted = list(self._running)
            self._running.clear()
        self._shown.close()
        console.show("")
        self._invocation.undone.update(dict.fromkeys(self._interrupted, "interrupted"))
        steps = [name for name in self._selected if name in self.project.plan.steps]
        run = Run(steps, self._invocation.done, self._invocation.undone)
        told = rows.tell(self.project, run)
        for line in rows.lines(told | _spared(self.project)):
            console.tell(line)
        failing = set()
        for model, line in gates.failures(self.project, run):
            failing.add(model)
            console.say(line, "red")
        self._has_gate_failures = bool(failing)
        if (problem := self.project.builder.locks.unwritten) is not None:
            self._has_gate_failures = True
            console.say(f"dvc.lock is not written yet, the next ./doit does it: {problem}", "red")
        elif not self._interrupted:
            self._hold(run, told, failing)
        self._invocation.runs.append(
            Ended(self._interrupted, self._has_gate_failures, self._has_errors)
        )

    def _hold(self, run: Run, told: dict[str, Told], failing: set[str]) -> None:
        """Seal a run that has left nothing to do; else note the models that have nothing to do."""
        steps = run.selected
        is_done = self._is_clean and self._invocation.done.keys() >= {*steps}
        if is_done and not self.project.broken:
            idle = _idle(steps)
            if rows.is_whole(self.project, idle):  # else a later run may tell more
                told = told if run.done == idle.done else rows.tell(self.project, idle)
                sealing.write(
                    self.project,
                    self._invocation.asked,
                    steps,
                    told,
                    rows.lines(told | _spared(self.project)),
                    [line for _, line in gates.failures(self.project, idle)] if failing else [],
                )
            if not failing:
                return
        left = failing | {
            self.project.plan.steps[name].model
            for name in steps
            if name not in self._invocation.done
        }
        idle = _idle([name for name in steps if self.project.plan.steps[name].model not in left])
        if rows.is_whole(self.project, idle):
            sealing.remember(self.project, self._invocation.asked, rows.tell(self.project, idle))

    def _ended(self, task: Any) -> None:
        with self._guard:
            self._ended_count += task.name in self.project.plan.steps
            self._running.pop(task.name, None)
        pulse.show()

    def _line(self, name: str, text: str, colour: str | None = None) -> None:
        line = f"{name:<{self._name_width}} {text}"
        console.say(line[: console.width() - 1] if console.is_live() else line, colour)

    def _progress(self) -> str:
        """The steps that run now; empty where none does."""
        now = time.monotonic()
        with self._guard:
            running = {name: now - start for name, start in self._running.items()}
            ended = self._ended_count
        return progress.text(running, ended, self._steps, self._times) if running else ""


def tell_nothing_to_do(project: Project) -> int:
    """What a run reports in which every model is spared. Returns its exit code."""
    StepReporter(project).complete_run()
    return 0


def _idle(steps: Sequence[str]) -> Run:
    """A run in which these steps had nothing to do."""
    return Run(steps, dict.fromkeys(steps, Done(Outcome.UP_TO_DATE, (), 0.0)))


def _spared(project: Project) -> dict[str, Told]:
    return {model: Told(**held.told) for model, held in project.spared.items()}


def running(project: Project) -> list[str]:
    """Steps that ran when the last run was interrupted."""
    return sorted(name for run in project.invocation.runs for name in run.interrupted)


def _because(done: Done, name: str) -> str:
    """The first reason, paths counted from the model's folder; `./doit why` tells them all."""
    model, why = name.partition(":")[0], done.why
    first = str(why[0]) if why else "asked for by -a"
    if why == (NEVER,) and done.outcome is Outcome.RESTORED:
        first = "not in this dvc.lock, but built before"
    first = first.replace(f"models/{model}/build/", "").replace(f"models/{model}/", "")
    return first + (f" (+{len(why) - 1})" if len(why) > 1 else "")
