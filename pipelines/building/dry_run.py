"""What a run would do, told from the locks and the cache. Runs, restores and fetches nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pipelines.building.builder import Builder
from pipelines.building.plan import Plan
from pipelines.building.status import Run, Status, UpToDate
from pipelines.record.digest import Content
from pipelines.record.step import Step


@dataclass(frozen=True)
class Foreseen:
    """A step as it will be at its turn: certain, unless steps before it run.

    after: those steps, whose results nobody can know. status: then it is only likely, and tells of
    the step if they give what is recorded of them. is_known: whether that is recorded of them all.
    is_settled: up to date, with all before it: its turn changes nothing.
    """

    step: Step
    status: Status
    after: tuple[str, ...]
    is_known: bool
    is_settled: bool

    @property
    def is_up_to_date(self) -> bool:
        return isinstance(self.status, UpToDate) and not self.after

    @property
    def may_run(self) -> bool:
        return isinstance(self.status, Run) or bool(self.after)

    @property
    def is_unknown(self) -> bool:
        """Whether nobody here has recorded what the step will stand on, or what that gave."""
        return not self.is_known or self.status.entry is None

    @property
    def reasons(self) -> list[str]:
        """Why the step is stale; empty where it is up to date."""
        if self.is_up_to_date:
            return []
        own = [str(change) for change in self.status.why]
        return own or [f"{name} is stale, and may give other results" for name in self.after]


@dataclass(frozen=True)
class DryRun:
    """steps: by name, in dependency order. builder: whose records tell so."""

    steps: Mapping[str, Foreseen]
    builder: Builder

    @cached_property
    def unknown(self) -> frozenset[str]:
        """Steps whose facts nobody here has recorded, and all that follow them."""
        return frozenset(name for name, each in self.steps.items() if each.is_unknown)

    @cached_property
    def lacking(self) -> Mapping[str, str]:
        """MD5 of each object that is neither in place nor in the cache -> the step it is of."""
        records = self.builder.records
        return {
            md5: name
            for name, each in self.steps.items()
            if isinstance(each.status, Run) and each.status.entry and not each.is_unknown
            for md5 in records.lacking(each.status.entry)
        }

    @cached_property
    def runs(self) -> frozenset[str]:
        """Steps that may run."""
        return frozenset(name for name, each in self.steps.items() if each.may_run)

    @property
    def settled(self) -> Mapping[str, Status]:
        """What was found of the steps whose turn changes nothing."""
        return {name: each.status for name, each in self.steps.items() if each.is_settled}


def make(plan: Plan, builder: Builder, selected: Collection[str]) -> DryRun:
    """selected: names of steps, with all that they depend on."""
    found: dict[str, Foreseen] = {}
    contents: dict[str, Content | None] = {}  # of what the steps make
    for step in plan.in_order(selected):
        before = [found[each.name] for each in plan.before(step)]
        found[step.name] = each = _foreseen(step, builder, before, contents)
        outs = None if each.is_unknown or not each.status.entry else each.status.entry.outs
        contents |= outs or dict.fromkeys(step.outputs.values())
    return DryRun(found, builder)


def _foreseen(
    step: Step,
    builder: Builder,
    before: Sequence[Foreseen],
    contents: Mapping[str, Content | None],
) -> Foreseen:
    made = {path: contents[path] for path in step.dependencies if path in contents}
    status = builder.status(step, made)
    after = () if builder.is_forced else tuple(e.step.name for e in before if e.may_run)
    return Foreseen(
        step,
        status,
        after,
        is_known=not any(each.is_unknown for each in before),
        is_settled=isinstance(status, UpToDate) and all(each.is_settled for each in before),
    )
