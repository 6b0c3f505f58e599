"""What a run would do, told from the locks and the cache. Runs, restores and fetches nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipelines.builder import Builder
from pipelines.content import Content
from pipelines.facts import Facts, changes, observe
from pipelines.lock import Entry
from pipelines.plan import Plan
from pipelines.step import Step


@dataclass(frozen=True)
class Forecast:
    """unknown: steps whose facts nobody here has recorded, and all that follow them.
    lacking: MD5 of each object that is neither in place nor in the cache -> the step it is of.
    runs: steps that may run: the unknown ones, those with lacking objects, and what follows.
    """

    unknown: frozenset[str]
    lacking: Mapping[str, str]
    runs: frozenset[str]


def make(plan: Plan, builder: Builder, selected: set[str]) -> Forecast:
    """selected: names of steps, with all that they depend on."""
    unknown, lacking, runs = set[str](), dict[str, str](), set[str]()
    for step, entry in entries(plan, builder, selected):
        if entry is None:
            unknown.add(step.name)
        else:
            missing = _lacking(entry, builder)
            lacking |= dict.fromkeys(missing, step.name)
        earlier = {before.name for before in plan.before(step)}
        if entry is None or missing or earlier & runs or builder.is_forced:
            runs.add(step.name)
    return Forecast(frozenset(unknown), lacking, frozenset(runs))


def entries(
    plan: Plan, builder: Builder, selected: set[str]
) -> Iterator[tuple[Step, Entry | None]]:
    """Each step, and what is recorded for its facts as they will be when its turn comes.

    None where nothing is, and for all that follow.
    """
    unknown, foreseen = set[str](), dict[str, Content]()
    for step in plan.steps.values():  # in dependency order
        if step.name not in selected:
            continue
        now = observe(step, builder.contents)
        deps = {path: foreseen.get(path, content) for path, content in now.deps.items()}
        facts = Facts(now.command, deps, now.params)
        is_known = unknown.isdisjoint(before.name for before in plan.before(step))
        entry = _entry(step, builder, facts) if is_known else None
        if entry is None:
            unknown.add(step.name)
        else:
            foreseen |= entry.outs
        yield step, entry


def _entry(step: Step, builder: Builder, facts: Facts) -> Entry | None:
    if None in facts.deps.values():
        return None
    recorded = builder.locks.entry(step)
    is_whole = recorded and recorded.outs.keys() == set(step.outputs.values())
    if recorded and is_whole and not changes(recorded.facts, facts):
        return recorded
    known = list(builder.store.known(step, facts))
    whole = (e for e in known if all(builder.store.has(c) for c in e.outs.values()))
    return next(whole, known[0] if known else None)


def _lacking(entry: Entry, builder: Builder) -> set[str]:
    lacking = set()
    for path, content in entry.outs.items():
        now = builder.contents.of(path)
        if now is None or now.md5 != content.md5:
            lacking |= builder.store.lacks(content)
    return lacking
